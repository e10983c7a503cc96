//! Conversion of SQLite errors to port errors.

use diptych_kernel::ports::PortError;
use rusqlite::ErrorCode;

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
    pub(crate) fn without_effect(self) -> PortError {
        match self {
            Self::Port(error) => error,
            Self::Sqlite(error) if is_transient(&error) => {
                PortError::not_done("the database is not available").caused_by(error)
            }
            Self::Sqlite(error) => PortError::operator("the database rejected the statement").caused_by(error),
        }
    }
}

/// Returns the port error for a failed commit. Its effect is unknown: its frames may be in the write-ahead log, where
/// the next start would recover them.
pub(crate) fn failed_commit(error: rusqlite::Error) -> PortError {
    PortError::unknown("the commit failed").caused_by(error)
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
