//! Conversion of SQLite errors to port errors.

use std::path::Path;

use diptych_kernel::ports::PortError;
use rusqlite::{Connection, ErrorCode};

use crate::folder::files::{disk_full_message, is_disk_full};

/// Error inside a transaction, before it is known whether the transaction took effect.
#[derive(Debug)]
pub(crate) enum TransactionError {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// The work failed with a port error.
    Port(PortError),
}

impl From<rusqlite::Error> for TransactionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<PortError> for TransactionError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl TransactionError {
    /// Converts to the port error of work without effect: a read, or a transaction that was rolled back.
    pub(crate) fn without_effect(self, connection: &Connection) -> PortError {
        match self {
            Self::Port(error) => error,
            Self::Sqlite(error) => match disk_full(connection, &error) {
                Some(message) => PortError::not_done(message),
                None if is_transient(&error) => {
                    PortError::not_done(format!("{} is not available", name(connection))).caused_by(error)
                }
                None => PortError::operator(format!("{} rejected the statement", name(connection))).caused_by(error),
            },
        }
    }
}

/// Returns the port error for a failed commit. Its effect is unknown: its frames may be in the write-ahead log, where
/// the next start would recover them.
pub(crate) fn failed_commit(connection: &Connection, error: rusqlite::Error) -> PortError {
    match disk_full(connection, &error) {
        Some(message) => PortError::unknown(format!("the commit failed: {message}")),
        None => PortError::unknown(format!("the commit to {} failed", name(connection))).caused_by(error),
    }
}

/// Returns the port error of opening a file.
pub(crate) fn failed_open(path: &Path, error: rusqlite::Error) -> PortError {
    match disk_full_at(path, &error) {
        Some(message) => PortError::operator(message),
        None => PortError::operator(format!("cannot open {}", path.display())).caused_by(error),
    }
}

/// Returns the port error of a failed copy of a file.
pub(crate) fn failed_copy(from: &Path, to: &Path, error: rusqlite::Error) -> PortError {
    match disk_full_at(to, &error) {
        Some(message) => PortError::operator(message),
        None => PortError::operator(format!("cannot copy {} to {}", from.display(), to.display())).caused_by(error),
    }
}

/// Returns the name of a database in messages.
pub(crate) fn name(connection: &Connection) -> &str {
    match connection.path() {
        None | Some("") => "the database in memory",
        Some(path) => path,
    }
}

fn disk_full(connection: &Connection, error: &rusqlite::Error) -> Option<String> {
    disk_full_at(Path::new(name(connection)), error)
}

/// Returns the message for a full disk if that is the cause. SQLite has a code of its own for a write of data; for
/// other files, such as the index of the write-ahead log, it only reports that the operation failed.
fn disk_full_at(path: &Path, error: &rusqlite::Error) -> Option<String> {
    let is_full = match error.sqlite_error_code()? {
        ErrorCode::DiskFull => true,
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => is_disk_full(path),
        _ => false,
    };
    is_full.then(|| disk_full_message(path))
}

/// Returns whether the same statement may succeed later without an operator. This includes a full disk, because other
/// data on it may be deleted.
fn is_transient(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory
        )
    )
}

#[cfg(test)]
mod tests {
    use diptych_kernel::ports::{Effect, Remedy};

    use super::*;

    #[test]
    fn a_full_disk_is_named_with_the_path_and_without_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (b BLOB); PRAGMA max_page_count = 3").unwrap();
        let full = || connection.execute("INSERT INTO t VALUES (zeroblob(100000))", []).unwrap_err();

        let error = TransactionError::from(full()).without_effect(&connection);
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry));
        let expected = format!("the disk of {} is full: free space on it", path.canonicalize().unwrap().display());
        assert!(error.to_string().starts_with(&expected), "{error}");
        let error = failed_commit(&connection, full());
        assert!(error.to_string().contains(&expected) && error.effect() == Effect::Unknown, "{error}");
        assert_eq!(failed_open(&path, full()).remedy(), Remedy::Operator);
    }

    #[test]
    fn other_failures_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let connection = Connection::open(&path).unwrap();
        let error = TransactionError::from(connection.execute("INSERT INTO absent VALUES (1)", []).unwrap_err());
        let text = error.without_effect(&connection).to_string();
        assert!(text.contains("events.db rejected the statement: no such table"), "{text}");
    }
}
