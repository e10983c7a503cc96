//! From Postgres's failures to those of a port.

use std::time::Duration;

use diptych_kernel::ports::PortError;
use tokio_postgres::{Error, error::SqlState};

/// What can go wrong with a statement, before it is known whether it could have had an effect.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It was never sent: no connection could be had, or it could not be prepared.
    NotSent(PortError),
    /// It was sent, and ended so.
    Statement(Error),
    /// It was sent, and no answer came.
    Silence(Duration),
    /// It was answered, and the answer is not one that this program understands.
    Unreadable(String),
    /// Its commit went through here, and its wait for the standby was cancelled.
    Doubt,
    /// The work around it failed, in a port's words.
    Port(PortError),
}

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl Trouble {
    /// The port's error for a statement that only asks.
    pub(crate) fn of_question(self) -> PortError {
        match self {
            Self::NotSent(error) | Self::Port(error) => error,
            Self::Statement(error) => without_effect(error),
            Self::Silence(after) => PortError::not_done(silence(after)),
            Self::Unreadable(what) => PortError::operator(unreadable(&what)),
            Self::Doubt => PortError::not_done("the server cancelled a commit's wait for the standby"),
        }
    }

    /// The port's error for a statement that writes.
    pub(crate) fn of_write(self) -> PortError {
        match self {
            Self::NotSent(error) | Self::Port(error) => error,
            Self::Statement(error) if is_known_not_done(&error) => without_effect(error),
            Self::Statement(error) => PortError::unknown("the write database broke off").caused_by(error),
            Self::Silence(after) => PortError::unknown(silence(after)),
            Self::Unreadable(what) => PortError::unknown(unreadable(&what)),
            Self::Doubt => PortError::unknown("the server cancelled the commit's wait for the standby"),
        }
    }

    /// Whether a unique index refused a row.
    pub(crate) fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Statement(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }

    /// Whether it says that the server is not the one to go on with, though the connection still is: it is silent, or leads no more.
    pub(crate) fn is_the_servers(&self) -> bool {
        match self {
            Self::Silence(_) => true,
            Self::Statement(error) => error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
            _ => false,
        }
    }

    /// Whether the connection is as good as before: the server has answered, and its answer says nothing about the session.
    pub(crate) fn leaves_connection_usable(&self) -> bool {
        match self {
            Self::Statement(error) => error.code().is_some_and(|code| {
                matches!(
                    *code,
                    SqlState::UNIQUE_VIOLATION | SqlState::LOCK_NOT_AVAILABLE | SqlState::T_R_DEADLOCK_DETECTED
                )
            }),
            _ => false,
        }
    }
}

fn silence(after: Duration) -> String {
    format!("the write database has not answered within {after:?}")
}

fn unreadable(what: &str) -> String {
    format!("the database holds {what}: it was changed from outside or is damaged")
}

/// The SQLSTATE of a failure, where the server sent one.
pub(crate) fn state_of(error: &Error) -> Option<&SqlState> {
    error.code()
}

/// Whether an error of a statement that was sent says for certain that its transaction was rolled back.
///
/// A list of what is known, not of what is feared: everything else may come after the commit. A cancelled statement is not on it, as the
/// signal can arrive at any time, nor is anything that ends the session.
fn is_known_not_done(error: &Error) -> bool {
    let Some(code) = error.code() else { return false };
    is_wrong_here(code)
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

/// Whether asking again gives the same answer, as the schema, the rights, the settings or the data are wrong.
fn is_wrong_here(code: &SqlState) -> bool {
    let class = code.code().get(..2).unwrap_or_default();
    // Data exception, integrity other than a lost race, authorization, no such database or schema, syntax or access rule.
    matches!(class, "22" | "23" | "28" | "3D" | "3F" | "42" | "54") && *code != SqlState::UNIQUE_VIOLATION
}

/// The port's error for what has left nothing behind.
pub(crate) fn without_effect(error: Error) -> PortError {
    match error.code() {
        Some(code) if is_wrong_here(code) => PortError::operator("the write database refuses").caused_by(Told(error)),
        _ => PortError::not_done("the write database is not available").caused_by(Told(error)),
    }
}

/// Says what the server said: the driver's own text is "db error".
#[derive(Debug)]
struct Told(Error);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.as_db_error(), std::error::Error::source(&self.0)) {
            (Some(told), _) => write!(f, "{} (SQLSTATE {})", told.message(), told.code().code()),
            (None, Some(cause)) => write!(f, "{}: {cause}", self.0),
            (None, None) => self.0.fmt(f),
        }
    }
}

impl std::error::Error for Told {}
