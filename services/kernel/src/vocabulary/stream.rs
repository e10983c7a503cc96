//! Streams and their versions.

use std::{fmt, sync::Arc};

/// The name of a stream: all events of one aggregate. 1 to 200 bytes of printable ASCII. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

/// A text that cannot be a stream's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamIdError {
    /// It is empty.
    #[error("a stream id is empty")]
    Empty,
    /// It is too long.
    #[error("a stream id has {0} bytes, more than {max}", max = StreamId::BYTES_MAX)]
    TooLong(usize),
    /// It has a character outside printable ASCII.
    #[error("stream id {0:?} has a character that is not printable ASCII")]
    NotPrintable(String),
}

impl StreamId {
    /// How long a name may be.
    pub const BYTES_MAX: usize = 200;

    /// Checks and takes a name.
    ///
    /// # Errors
    /// When it is empty, too long, or not printable ASCII.
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

    /// The name.
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

/// How many events a stream has; also the place of an event in its stream, from 1. Dense: no version is ever skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// A stream without events, which is the same as no stream.
    pub const NONE: Self = Self(0);

    /// The version with this number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }

    /// The version of the next event. A stream ends at 2^32 - 1 events; saturates there, where the store refuses the append.
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
    fn names_are_checked() {
        assert_eq!(StreamId::new(""), Err(StreamIdError::Empty));
        assert_eq!(StreamId::new(&"a".repeat(201)), Err(StreamIdError::TooLong(201)));
        assert!(matches!(StreamId::new("a b"), Err(StreamIdError::NotPrintable(_))));
        assert!(matches!(StreamId::new("é"), Err(StreamIdError::NotPrintable(_))));
        assert_eq!(StreamId::new("seat-1").unwrap().as_str(), "seat-1");
    }
}
