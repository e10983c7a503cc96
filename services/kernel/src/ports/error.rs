//! Failures of the systems behind the ports.

use std::{error::Error, fmt};

/// The result of a port's method.
pub type PortResult<T> = Result<T, PortError>;

/// Whether what was asked for may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It has not happened and will not.
    None,
    /// It may have happened, or may still happen. Resolve it (by request id, by position) before telling anyone an outcome.
    Unknown,
}

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Asking again, after a pause.
    Retry,
    /// A person: the schema, the configuration or the data is wrong. Asking again gives the same answer.
    Operator,
}

/// Something went wrong behind a port. Losing a race or finding nothing is not an error but a value.
///
/// The text is for the log; nothing of it may reach a client.
#[derive(Debug)]
pub struct PortError {
    effect: Effect,
    remedy: Remedy,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl PortError {
    /// It did not happen; asking again may help.
    pub fn not_done(message: impl Into<String>) -> Self {
        Self { effect: Effect::None, remedy: Remedy::Retry, message: message.into(), source: None }
    }

    /// It may have happened; asking again may help.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { effect: Effect::Unknown, remedy: Remedy::Retry, message: message.into(), source: None }
    }

    /// It did not happen, and only a person can help.
    pub fn operator(message: impl Into<String>) -> Self {
        Self { effect: Effect::None, remedy: Remedy::Operator, message: message.into(), source: None }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether it may have happened all the same.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// What helps.
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
            f.write_str(" (it may have happened)")?;
        }
        Ok(())
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
