//! Finds executable programs of the system.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Finds a program in `PATH`, or in the folders where Debian installs programs for root.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| is_program(program))
}

/// Finds a program that every user may run: each folder above it, and above what it links to, may be entered by all.
pub(super) fn program_for_all_users(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/bin".into(), "/usr/local/bin".into()]);
    folders.map(|folder| folder.join(name)).find(|program| is_program(program) && is_for_all_users(program))
}

fn is_for_all_users(program: &Path) -> bool {
    let allows_all = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
    let reached = [Some(program.to_owned()), program.canonicalize().ok()];
    reached.iter().all(|path| path.as_ref().is_some_and(|path| path.ancestors().all(allows_all)))
}

/// Returns whether the path is an executable file.
pub(super) fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_path() {
        assert!(find_program("sh").is_some_and(|program| is_program(&program)));
        assert_eq!(find_program("no-such-program"), None);
        assert!(!is_program(Path::new("/")));
    }

    #[test]
    fn a_program_in_a_private_folder_is_not_for_all_users() {
        assert!(program_for_all_users("sh").is_some_and(|program| is_program(&program)));
        let private = tempfile::tempdir().unwrap();
        let program = private.path().join("program");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(private.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(is_program(&program) && !is_for_all_users(&program));
    }
}
