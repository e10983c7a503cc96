//! Maps errors of the Postgres driver to errors of a port.

use std::{fmt, time::Duration};

use diptych_kernel::ports::PortError;
use tokio_postgres::{Error, error::SqlState};

/// A failed statement, before it is decided whether it can have had an effect.
#[derive(Debug)]
pub(crate) enum StatementError {
    /// The statement was not sent: there was no connection, or it could not be prepared.
    NotSent(PortError),
    /// The statement was sent, and the server or the connection reported this error.
    Failed(Error),
    /// The statement was sent, and no answer came within this time.
    TimedOut(Duration),
    /// The answer holds data that this program does not write.
    CorruptData(String),
    /// The transaction is committed on the primary, and its wait for the standby was cancelled.
    CommitUnconfirmed,
    /// The server lacks an event that was committed.
    WentBack(PortError),
    /// The work around the statement failed.
    Port(PortError),
}

impl From<PortError> for StatementError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl StatementError {
    /// The port's error for a statement that only reads.
    pub(crate) fn into_read_error(self) -> PortError {
        match self {
            Self::NotSent(error) | Self::Port(error) | Self::WentBack(error) => error,
            Self::Failed(error) => no_effect_error("a query of the write database failed", error),
            Self::TimedOut(after) => PortError::not_done(timeout_message(after)),
            Self::CorruptData(what) => PortError::operator(corruption_message(&what)),
            Self::CommitUnconfirmed => PortError::not_done("the server cancelled a commit's wait for the standby"),
        }
    }

    /// The port's error for a statement that writes.
    pub(crate) fn into_write_error(self) -> PortError {
        match self {
            Self::NotSent(error) | Self::Port(error) | Self::WentBack(error) => error,
            Self::Failed(error) if is_known_rolled_back(&error) => {
                no_effect_error("a write to the write database failed", error)
            }
            Self::Failed(error) => {
                PortError::unknown("the write database failed during a write").caused_by(ServerMessage(error))
            }
            Self::TimedOut(after) => PortError::unknown(timeout_message(after)),
            Self::CorruptData(what) => PortError::unknown(corruption_message(&what)),
            Self::CommitUnconfirmed => PortError::unknown("the server cancelled the commit's wait for the standby"),
        }
    }

    /// Returns whether a unique index refused a row.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Failed(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// Returns whether all connections to this server must be replaced: it does not answer, or is not the primary any
    /// more.
    pub(crate) fn invalidates_pool(&self) -> bool {
        match self {
            Self::TimedOut(_) => true,
            Self::Failed(error) => error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
            _ => false,
        }
    }

    /// Returns whether the connection can be used again: the server has answered, and the error does not concern the
    /// session.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Failed(error) => error.code().is_some_and(|code| {
                matches!(
                    *code,
                    SqlState::UNIQUE_VIOLATION | SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED
                )
            }),
            _ => false,
        }
    }
}

/// The error for a stored value that this program does not write.
pub(crate) fn corrupt_data(what: impl fmt::Display) -> StatementError {
    StatementError::CorruptData(what.to_string())
}

fn timeout_message(after: Duration) -> String {
    format!("the write database did not answer within {after:?} (setting postgres.answer_timeout)")
}

fn corruption_message(what: &str) -> String {
    format!("the write database holds {what}: it was changed by another program or is damaged")
}

/// The SQLSTATE of an error, if the server sent one.
pub(crate) fn sql_state(error: &Error) -> Option<&SqlState> {
    error.code()
}

/// Returns whether the error of a statement that was sent proves that its transaction was rolled back.
///
/// A list of known states: every other error may come after the commit. A cancelled statement is not on it, as the
/// signal can arrive at any time, and neither is an error that ends the session.
fn is_known_rolled_back(error: &Error) -> bool {
    let Some(code) = error.code() else { return false };
    is_permanent(code)
        || matches!(
            *code,
            SqlState::UNIQUE_VIOLATION
                | SqlState::LOCK_NOT_AVAILABLE
                | SqlState::T_R_DEADLOCK_DETECTED
                | SqlState::T_R_SERIALIZATION_FAILURE
                | SqlState::READ_ONLY_SQL_TRANSACTION
                | SqlState::DISK_FULL
                | SqlState::OUT_OF_MEMORY
                | SqlState::FEATURE_NOT_SUPPORTED
                | SqlState::INVALID_SQL_STATEMENT_NAME
        )
}

/// Returns whether a retry gives the same error, as the schema, the privileges, the settings or the data are wrong.
fn is_permanent(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    // Data exception, integrity constraint other than a lost race, authorization, no such database or schema, syntax or
    // access rule, program limit.
    matches!(class, "22" | "23" | "28" | "3D" | "3F" | "42" | "54") && *code != SqlState::UNIQUE_VIOLATION
}

/// The port's error for something that had no effect.
pub(crate) fn no_effect_error(what: impl fmt::Display, error: Error) -> PortError {
    let make: fn(String) -> PortError = match error.code() {
        Some(code) if is_permanent(code) => PortError::operator,
        _ => PortError::not_done,
    };
    make(what.to_string()).caused_by(ServerMessage(error))
}

/// A driver's error with the text that the server sent: the driver's own text is "db error".
#[derive(Debug)]
struct ServerMessage(Error);

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_db_error(), std::error::Error::source(&self.0)) {
            (Some(sent), _) => write!(f, "{} (SQLSTATE {})", sent.message(), sent.code().code()),
            (None, Some(cause)) => write!(f, "{}: {cause}", self.0),
            (None, None) => self.0.fmt(f),
        }
    }
}

impl std::error::Error for ServerMessage {}
