//! Errors of the systems behind the ports, classified by effect and remedy.

use std::{error::Error, fmt};

/// Result of a port method.
pub type PortResult<T> = Result<T, PortError>;

/// Effect of a call that failed: whether the requested change may have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The change was not made and will not be made.
    None,
    /// The change may have been made, or may still be made later. The caller must resolve it (by request id, by
    /// position) before it reports an outcome.
    Unknown,
}

/// Action that can resolve an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Retry the call after a pause.
    Retry,
    /// An operator must act: the schema, the configuration or the data is wrong, and a retry gives the same error.
    Operator,
}

/// Error of a port. Lost races and missing data are not errors; they are part of a method's result.
///
/// The message is for the log. It must not be sent to clients.
#[derive(Debug)]
pub struct PortError {
    effect: Effect,
    remedy: Remedy,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// Creates an error for a call that had no effect and can be retried.
    pub fn not_done(message: impl Into<String>) -> Self {
        Self { effect: Effect::None, remedy: Remedy::Retry, message: message.into(), source: None }
    }

    /// Creates an error for a call whose effect is unknown and that can be retried.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { effect: Effect::Unknown, remedy: Remedy::Retry, message: message.into(), source: None }
    }

    /// Creates an error for a call that had no effect and that only an operator can resolve.
    pub fn operator(message: impl Into<String>) -> Self {
        Self { effect: Effect::None, remedy: Remedy::Operator, message: message.into(), source: None }
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether the call may have taken effect.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns the action that can resolve the error.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        self.remedy
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        if self.effect == Effect::Unknown {
            f.write_str(" (the outcome is unknown)")?;
        }
        Ok(())
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
