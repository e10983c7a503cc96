//! Copies of installed tools that the user of Postgres can reach.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use super::super::user::{can_reach, check_reach};
use crate::{
    error::{StackError, StackResult},
    process::RunAs,
};

/// Returns a program that the user can reach: the installed one, or a copy of its folder where the tools are below a
/// private folder, such as a clone in the home folder of root. The copy is made once.
pub(super) fn reachable(user: Option<RunAs>, tools: &Path, program: &Path, what: &str) -> StackResult<PathBuf> {
    let Some(user) = user.filter(|user| !program.parent().is_some_and(|folder| can_reach(*user, folder))) else {
        return Ok(program.to_owned());
    };
    let Some(inside) = program.strip_prefix(tools).ok() else {
        return check_reach(Some(user), program, what).map(|()| program.to_owned());
    };
    let Some(name) = inside.components().next() else { return Ok(program.to_owned()) };
    let copies = std::env::temp_dir().join(format!("diptych-stack-tools-{}", rustix::process::geteuid().as_raw()));
    make_own_folder(&copies)?;
    let copy = copies.join(name);
    if !copy.exists() {
        copy_folder(&tools.join(name), &copies, &copy)?;
    }
    Ok(copies.join(inside))
}

/// Makes the folder of copies, which all users may enter. One that another user has made is not used.
fn make_own_folder(folder: &Path) -> StackResult<()> {
    let doing = || format!("make the folder {}", folder.display());
    match fs::DirBuilder::new().mode(0o755).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(StackError::io(doing())(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(StackError::io(doing()))?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
        // The mode of a new folder depends on the umask.
        return fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(StackError::io(doing()));
    }
    Err(StackError::Invalid(format!(
        "{} is not a folder of this user: remove it, or set {} to a folder that all users may enter",
        folder.display(),
        crate::paths::TOOLS_VARIABLE
    )))
}

/// Copies under another name first, so that an interrupted run leaves no incomplete copy.
fn copy_folder(from: &Path, copies: &Path, to: &Path) -> StackResult<()> {
    let doing = || format!("copy {} to {}", from.display(), to.display());
    let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(copies).map_err(StackError::io(doing()))?;
    let content = partial.path().join("content");
    let copied = Command::new("cp").arg("-a").arg(from).arg(&content).output().map_err(StackError::io(doing()))?;
    if !copied.status.success() {
        let said = String::from_utf8_lossy(&copied.stderr).trim().to_owned();
        return Err(StackError::Invalid(format!("cannot {}: {said}", doing())));
    }
    match fs::rename(&content, to) {
        // Another start was faster.
        Err(_) if to.exists() => Ok(()),
        renamed => renamed.map_err(StackError::io(doing())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_complete_and_made_once() {
        let parent = tempfile::tempdir().unwrap();
        let (from, copies) = (parent.path().join("tool"), parent.path().join("copies"));
        fs::create_dir_all(from.join("bin")).unwrap();
        fs::write(from.join("bin/program"), "text").unwrap();
        make_own_folder(&copies).unwrap();
        make_own_folder(&copies).unwrap();
        for _ in 0..2 {
            copy_folder(&from, &copies, &copies.join("tool")).unwrap();
        }
        assert_eq!(fs::read_to_string(copies.join("tool/bin/program")).unwrap(), "text");
        assert_eq!(fs::read_dir(&copies).unwrap().count(), 1);
        assert_eq!(fs::metadata(&copies).unwrap().mode() & 0o777, 0o755);
        fs::write(parent.path().join("file"), "").unwrap();
        let error = make_own_folder(&parent.path().join("file")).unwrap_err().to_string();
        assert!(error.contains("is not a folder of this user"), "{error}");
    }

    #[test]
    fn a_program_that_is_reached_is_not_copied() {
        let tools = tempfile::tempdir().unwrap();
        let program = tools.path().join("tool/bin/program");
        assert_eq!(reachable(None, tools.path(), &program, "x").unwrap(), program);
        let user = RunAs { user_id: 65_534, group_id: 65_534 };
        let sh = Path::new("/bin/sh");
        assert_eq!(reachable(Some(user), tools.path(), sh, "x").unwrap(), sh);
    }
}
