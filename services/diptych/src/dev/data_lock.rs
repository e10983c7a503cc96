//! One `dev` per folder.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, bail};
use diptych_embedded::Storage;

const FILE: &str = "dev.lock";

/// Holds a folder for this process. The system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct DataLock {
    _file: Option<File>,
}

impl DataLock {
    /// Takes the folder, which is made where it is missing. Memory needs no lock.
    ///
    /// # Errors
    /// When another process has it, or the folder cannot be written to.
    pub(super) fn take(place: &Storage) -> anyhow::Result<Self> {
        let Storage::Directory(folder) = place else { return Ok(Self { _file: None }) };
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let path = folder.join(FILE);
        let mut file = open(&path).with_context(|| format!("cannot write to {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "the folder {} is in use by another `diptych dev`{}: stop it, or choose another folder with --data DIR",
                folder.display(),
                holder(&mut file)
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        // Only for the message above.
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Self { _file: Some(file) })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// Who has it, as far as it says so.
fn holder(file: &mut File) -> String {
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
    fn a_folder_is_held_by_one() {
        let parent = tempfile::tempdir().unwrap();
        let place = Storage::Directory(parent.path().join("data"));
        let first = DataLock::take(&place).unwrap();
        let error = DataLock::take(&place).unwrap_err().to_string();
        assert!(error.contains("in use by another `diptych dev`") && error.contains("--data DIR"), "{error}");
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(first);
        DataLock::take(&place).unwrap();
        DataLock::take(&Storage::Memory).unwrap();
        DataLock::take(&Storage::Memory).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataLock::take(&Storage::Directory(file.path().join("data"))).unwrap_err();
        assert!(format!("{error:#}").contains("cannot make the folder"), "{error:#}");
    }
}
