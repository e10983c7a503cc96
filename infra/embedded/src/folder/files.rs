//! Creation of folders and files that only their owner can read, and the words for a full disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use diptych_kernel::ports::PortError;
use rustix::{
    fs::{OFlags, statvfs},
    io::Errno,
};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Space below which a failed write is explained by a full disk: SQLite extends its files by up to 64 KiB at once.
const FREE_BYTES_MIN: u64 = 128 * 1024;

/// Creates a folder and its parents, for their owner only. One that exists is left as it is.
pub(crate) fn create_folder(path: &Path) -> Result<(), PortError> {
    let created = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
    created.map_err(|error| io_error("cannot create the folder", path, error))
}

/// Creates an empty file for its owner only, before SQLite would create it for all. SQLite gives its write-ahead log
/// the same permissions. A file that exists is left as it is.
pub(crate) fn create_file(path: &Path) -> Result<(), PortError> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error("cannot create", path, error)),
        _ => Ok(()),
    }
}

/// Deletes a file. One that does not exist is no error.
pub(crate) fn remove(path: &Path) -> Result<(), PortError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("cannot delete", path, error)),
        _ => Ok(()),
    }
}

/// Opens a lock file, and creates it for its owner only. A symbolic link is refused: following it would change a file
/// elsewhere.
pub(crate) fn open_lock_file(path: &Path) -> Result<File, PortError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
    open_without_link(&mut options, path).map_err(|error| io_error("cannot write to", path, error))
}

/// Opens a file that is no symbolic link.
pub(crate) fn open_without_link(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    options.custom_flags(flags).open(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => {
            io::Error::other("it is a symbolic link, which is not followed: remove it")
        }
        _ => error,
    })
}

/// Returns the error of a failed operation on a file or folder.
pub(crate) fn io_error(action: &str, path: &Path, error: io::Error) -> PortError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PortError::operator(disk_full_message(path)),
        _ => PortError::operator(format!("{action} {}", path.display())).caused_by(error),
    }
}

/// Returns the message for a full disk.
pub(crate) fn disk_full_message(path: &Path) -> String {
    format!(
        "the disk of {} is full: free space on it, or move the data folder to a larger disk; acknowledged commands are \
         kept, and new ones are accepted again as soon as there is space",
        path.display()
    )
}

/// Returns whether the file system of a file, or of its folder, has no space or no inodes left.
pub(crate) fn is_disk_full(path: &Path) -> bool {
    let stat = statvfs(path).or_else(|error| path.parent().map_or(Err(error), statvfs));
    stat.is_ok_and(|stat| {
        let has_no_inodes = stat.f_files > 0 && stat.f_favail == 0;
        has_no_inodes || stat.f_bavail.saturating_mul(stat.f_frsize) < FREE_BYTES_MIN
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_created_for_their_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        create_folder(&folder).unwrap();
        create_folder(&folder).unwrap();
        assert_eq!((mode(&folder), mode(&parent.path().join("a"))), (0o700, 0o700));
        let file = folder.join("events.db");
        create_file(&file).unwrap();
        create_file(&file).unwrap();
        open_lock_file(&folder.join("dev.lock")).unwrap();
        assert_eq!((mode(&file), mode(&folder.join("dev.lock"))), (0o600, 0o600));
    }

    #[test]
    fn a_lock_file_that_is_a_symbolic_link_is_refused_and_its_target_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("dev.lock"));
        fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        let error = open_lock_file(&link).unwrap_err().to_string();
        assert!(error.contains("dev.lock") && error.contains("symbolic link"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }

    #[test]
    fn a_full_disk_is_named_with_the_path_and_what_to_do() {
        let error = io_error("cannot write to", Path::new("/data/dev.lock"), io::ErrorKind::StorageFull.into());
        assert!(error.to_string().starts_with("the disk of /data/dev.lock is full: free space on it"), "{error}");
        assert!(!is_disk_full(Path::new("/proc/self/absent")) || is_disk_full(Path::new("/proc/self")));
        assert!(!is_disk_full(&tempfile::tempdir().unwrap().path().join("not/yet")));
    }
}
