//! Data folder that is only read.

use std::{
    fmt::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use diptych_kernel::ports::PortResult;
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{files, lock::ReaderLock};

/// Data folder that is read without any change to it, so that it may be a read-only file system. A `diptych dev` may
/// run on it; if none runs, none can start until the value and everything opened from it is dropped.
#[derive(Clone, Debug)]
pub struct ReadOnlyFolder {
    path: PathBuf,
    lock: Arc<ReaderLock>,
}

/// Way to open a database without writing to its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Beside the process that writes it, with SQLite's own locks. Changes only marks in the file `-shm`, which that
    /// process owns.
    Shared,
    /// The file alone. SQLite then creates neither `-wal` nor `-shm`.
    WithoutLog,
    /// The file with the write-ahead log that a killed process left. Without file locks SQLite keeps the index of the
    /// log in memory; else it would create `-shm`.
    WithLog,
}

impl ReadOnlyFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(path: &Path) -> PortResult<Self> {
        let path = path.canonicalize().map_err(|error| files::io_error("cannot read the folder", path, error))?;
        let lock = Arc::new(ReaderLock::acquire(&path)?);
        Ok(Self { path, lock })
    }

    /// Returns whether a `diptych dev` runs on the folder.
    pub(crate) fn is_in_use(&self) -> bool {
        self.lock.is_in_use
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a database of the folder.
    pub(crate) fn connect(&self, file_name: &str) -> rusqlite::Result<Connection> {
        let path = self.path.join(file_name);
        let mode = match log_path(&path).metadata() {
            _ if self.is_in_use() => Mode::Shared,
            Ok(log) if log.len() > 0 => Mode::WithLog,
            _ => Mode::WithoutLog,
        };
        let parameters = match mode {
            Mode::Shared => "mode=ro",
            Mode::WithoutLog => "mode=ro&immutable=1",
            Mode::WithLog => "mode=ro&vfs=unix-none",
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(format!("file:{}?{parameters}", uri_path(&path)), flags)?;
        if mode == Mode::WithLog {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            // Not by `pragma_update`, which reads the database first, and fails without this mode.
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        }
        Ok(connection)
    }
}

/// Returns the path of the write-ahead log of a database.
pub(crate) fn log_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Returns a path as part of a URI, with all special bytes escaped.
fn uri_path(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02x}");
        }
        text
    })
}
