//! What can be wrong with the form of a value, before any rule is asked.

/// A value that does not have the form of what it should be. The text says what the form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is empty and must not be.
    #[error("is required")]
    Missing,
    /// It cannot be read as what it should be.
    #[error("{0}")]
    Malformed(&'static str),
    /// It is longer than is allowed.
    #[error("{0}")]
    TooLong(&'static str),
    /// It is a number outside its range.
    #[error("{0}")]
    OutOfRange(&'static str),
}
