//! The lock of a data folder: one `diptych dev`, or any number of readers.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use diptych_kernel::ports::{PortError, PortResult};

use super::files;

const FILE_NAME: &str = "dev.lock";

/// Exclusive lock of a data folder. The operating system releases it when the process ends, also by a crash.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks a folder, which is created if it does not exist.
    ///
    /// # Errors
    /// If another process has locked it, or the folder cannot be written to.
    pub fn acquire(folder: &Path) -> PortResult<Self> {
        files::create_folder(folder)?;
        let path = folder.join(FILE_NAME);
        let mut file = files::open_lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
            Err(TryLockError::Error(error)) => return Err(files::io_error("cannot lock", &path, error)),
        }
        // Only read by the message for a second process.
        let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(|error| files::io_error("cannot write to", &path, error))?;
        Ok(Self { _file: file })
    }
}

/// Lock of a data folder that any number of readers share. While it is held, `dev` cannot start on the folder.
#[derive(Debug)]
pub(crate) struct ReaderLock {
    /// True if a `diptych dev` runs on the folder. Then nothing is locked.
    pub(crate) is_in_use: bool,
    /// `None` also if the folder has no lock file, as it is a copy of the databases alone.
    _file: Option<File>,
}

impl ReaderLock {
    /// Takes the lock without writing to the folder.
    pub(crate) fn acquire(folder: &Path) -> PortResult<Self> {
        let path = folder.join(FILE_NAME);
        let file = match files::open_without_link(File::options().read(true), &path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { is_in_use: false, _file: None });
            }
            Err(error) => return Err(files::io_error("cannot read", &path, error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Self { is_in_use: false, _file: Some(file) }),
            Err(TryLockError::WouldBlock) => Ok(Self { is_in_use: true, _file: None }),
            Err(TryLockError::Error(error)) => Err(files::io_error("cannot lock", &path, error)),
        }
    }
}

fn in_use(folder: &Path, file: &mut File) -> PortError {
    let folder = folder.display();
    if file.try_lock_shared().is_ok() {
        return PortError::operator(format!(
            "the folder {folder} is being read by `diptych verify` or `diptych backup`: wait until it has ended"
        ));
    }
    PortError::operator(format!(
        "the folder {folder} is in use by another `diptych dev`{}: stop it, or choose another folder with --data DIR",
        owner(file)
    ))
}

/// Returns the process that has locked the file, for a message; empty if it cannot be read.
fn owner(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(20).read_to_string(&mut text));
    match text.parse::<u32>() {
        Ok(process) if read.is_ok() => format!(" (process {process})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_by_one_process() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let first = FolderLock::acquire(&folder).unwrap();
        let error = FolderLock::acquire(&folder).unwrap_err().to_string();
        assert!(error.contains("in use by another `diptych dev`") && error.contains("--data DIR"), "{error}");
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        assert!(ReaderLock::acquire(&folder).unwrap().is_in_use);
        drop(first);
        FolderLock::acquire(&folder).unwrap();
    }

    #[test]
    fn readers_share_a_folder_and_keep_dev_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!ReaderLock::acquire(folder.path()).unwrap().is_in_use, "without a lock file");
        drop(FolderLock::acquire(folder.path()).unwrap());
        let readers = [ReaderLock::acquire(folder.path()).unwrap(), ReaderLock::acquire(folder.path()).unwrap()];
        assert!(readers.iter().all(|lock| !lock.is_in_use));
        let error = FolderLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is being read by `diptych verify`"), "{error}");
        drop(readers);
        FolderLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = FolderLock::acquire(&file.path().join("data")).unwrap_err();
        assert!(error.to_string().contains("cannot create the folder"), "{error}");
    }
}
