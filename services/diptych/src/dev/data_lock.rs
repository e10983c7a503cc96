//! The lock of a data folder: one `diptych dev` per folder.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, bail};
use diptych_embedded::Storage;

const FILE: &str = "dev.lock";

/// Locks a folder for this process. The operating system releases it when the process ends, also by a crash.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: Option<File>,
}

impl DataLock {
    /// Locks the folder, which is created if it does not exist. Memory needs no lock.
    ///
    /// # Errors
    /// When another process has locked it, or the folder cannot be written to.
    pub(super) fn acquire(storage: &Storage) -> anyhow::Result<Self> {
        let Storage::Directory(folder) = storage else { return Ok(Self { _file: None }) };
        let named = format!("--data {} (setting data)", folder.display());
        if folder.is_file() {
            bail!("{named} is a file; give a folder");
        }
        fs::create_dir_all(folder).with_context(|| format!("{named}: cannot create the folder"))?;
        let path = folder.join(FILE);
        let mut file = open(&path).with_context(|| format!("{named}: cannot write to {FILE}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "the folder {} is in use by another `diptych dev`{}: stop it, or choose another folder with --data DIR",
                folder.display(),
                lock_owner(&mut file)
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{named}: cannot lock {FILE}"));
            }
        }
        // Only read by the message above.
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { _file: Some(file) })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// The process that has locked the file, for a message; empty where it cannot be read.
fn lock_owner(file: &mut File) -> String {
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
        let storage = Storage::Directory(parent.path().join("data"));
        let first = DataLock::acquire(&storage).unwrap();
        let error = DataLock::acquire(&storage).unwrap_err().to_string();
        assert!(error.contains("in use by another `diptych dev`") && error.contains("--data DIR"), "{error}");
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(first);
        DataLock::acquire(&storage).unwrap();
        DataLock::acquire(&Storage::Memory).unwrap();
        DataLock::acquire(&Storage::Memory).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataLock::acquire(&Storage::Directory(file.path().join("data"))).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.starts_with("--data /") && text.contains("(setting data): cannot create the folder"), "{text}");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataLock::acquire(&Storage::Directory(file.path().to_owned())).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(text, format!("--data {} (setting data) is a file; give a folder", file.path().display()));
    }
}
