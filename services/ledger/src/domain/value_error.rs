//! Errors of parsing a value.

/// Error for an invalid value. The message states the rule that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The value is required and empty.
    #[error("is required")]
    Missing,
    /// The value has the wrong format.
    #[error("{0}")]
    Malformed(&'static str),
    /// The value is too long.
    #[error("{0}")]
    TooLong(&'static str),
    /// The number is outside its range.
    #[error("{0}")]
    OutOfRange(&'static str),
}
