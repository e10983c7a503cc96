//! What makes a command the same command.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The name of a command, given by its caller: a UUID. The same id with the same content takes effect once (G2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Uuid);

/// A text that is not a request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a UUID such as 7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c11")]
pub struct RequestIdError;

impl RequestId {
    /// Reads a UUID with hyphens, in either case. The nil UUID is refused: it is what a forgotten field looks like.
    ///
    /// # Errors
    /// When the text is anything else.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 && !uuid.is_nil() => Ok(Self(uuid)),
            _ => Err(RequestIdError),
        }
    }

    /// Takes a UUID as it is.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The 16 bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// From the 16 bytes as stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of a command in 32 bytes (SHA-256): tells a repeated command from another one with a reused request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a command's kind and its encoded content without the request id. The encoding must be the same every time.
    #[must_use]
    pub fn of(kind: &str, content: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((kind.len() as u64).to_be_bytes());
        hash.update(kind);
        hash.update(content);
        Self(hash.finalize().into())
    }

    /// The 32 bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From the 32 bytes as stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hyphenated_uuids_are_request_ids() {
        let text = "7F3C2A9E-5b0d-4c1e-9a52-0d8b6f1f0c11";
        assert_eq!(RequestId::parse(text).unwrap().to_string(), text.to_lowercase());
        for bad in ["", "x", "7f3c2a9e5b0d4c1e9a520d8b6f1f0c11", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(RequestId::parse(bad), Err(RequestIdError), "{bad}");
        }
    }

    #[test]
    fn fingerprints_tell_kind_and_content_apart() {
        assert_eq!(Fingerprint::of("a", b"bc"), Fingerprint::of("a", b"bc"));
        assert_ne!(Fingerprint::of("a", b"bc"), Fingerprint::of("ab", b"c"));
    }
}
