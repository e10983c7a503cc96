//! From SQLite's failures to those of a port.

use diptych_kernel::ports::PortError;
use rusqlite::ErrorCode;

/// What can go wrong inside a piece of work, before it is known whether its transaction took effect.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// The work itself did, in a port's words.
    Port(PortError),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl Trouble {
    /// The port's error for work that left nothing behind: a read, or a transaction that was rolled back.
    pub(crate) fn without_effect(self) -> PortError {
        match self {
            Self::Port(error) => error,
            Self::Sqlite(error) if may_pass(&error) => {
                PortError::not_done("the database is not available").caused_by(error)
            }
            Self::Sqlite(error) => PortError::operator("the database refuses").caused_by(error),
        }
    }
}

/// The port's error for a commit that failed. Its frames may stand in the write-ahead log, where the next start would find them.
pub(crate) fn failed_commit(error: rusqlite::Error) -> PortError {
    PortError::unknown("the commit failed").caused_by(error)
}

/// Whether the same statement may succeed later without anybody's help. A full disk may: what else is on it comes and goes.
fn may_pass(error: &rusqlite::Error) -> bool {
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
