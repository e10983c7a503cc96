//! Streams and their versions.

use std::{fmt, sync::Arc};

/// Name of a stream, which holds all events of one aggregate. 1 to 200 bytes of printable ASCII. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

/// Error for a text that is not a valid stream id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamIdError {
    /// The text is empty.
    #[error("the stream id is empty")]
    Empty,
    /// The text is too long, with its length in bytes.
    #[error("the stream id has {0} bytes: the maximum is {max}", max = StreamId::BYTES_MAX)]
    TooLong(usize),
    /// The text has a character outside printable ASCII.
    #[error("stream id {0:?} has a character that is not printable ASCII")]
    NotPrintable(String),
}

impl StreamId {
    /// Largest length of a name, in bytes.
    pub const BYTES_MAX: usize = 200;

    /// Validates a name.
    ///
    /// # Errors
    /// If the name is empty, too long, or not printable ASCII.
    pub fn new(name: &str) -> Result<Self, StreamIdError> {
        if name.is_empty() {
            Err(StreamIdError::Empty)
        } else if name.len() > Self::BYTES_MAX {
            Err(StreamIdError::TooLong(name.len()))
        } else if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err(StreamIdError::NotPrintable(name.to_owned()))
        } else {
            Ok(Self(name.into()))
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Version of a stream: its number of events. Also the number of an event in its stream, from 1. No version is ever
/// skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// Version of a stream without events, which is the same as a stream that does not exist.
    pub const NONE: Self = Self(0);

    /// Creates the version with this number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// Returns the version of the next event. Saturates at 2^32 - 1, the maximum length of a stream, where the store
    /// rejects the append.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_names_are_validated() {
        assert_eq!(StreamId::new(""), Err(StreamIdError::Empty));
        assert_eq!(StreamId::new(&"a".repeat(201)), Err(StreamIdError::TooLong(201)));
        assert!(matches!(StreamId::new("a b"), Err(StreamIdError::NotPrintable(_))));
        assert!(matches!(StreamId::new("é"), Err(StreamIdError::NotPrintable(_))));
        assert_eq!(StreamId::new("seat-1").unwrap().as_str(), "seat-1");
    }
}
