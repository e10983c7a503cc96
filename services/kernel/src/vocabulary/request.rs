//! Identity of commands: request id and content fingerprint.

use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Identifier of a command, chosen by its caller: a UUID. The same id with the same content takes effect once (G2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Uuid);

/// Error for a text that is not a request id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a UUID such as 7f3c2a9e-5b0d-4c1e-9a52-0d8b6f1f0c11")]
pub struct RequestIdError;

impl RequestId {
    /// Parses a UUID with hyphens, in upper or lower case. The nil UUID is rejected, because it usually means a missing
    /// field.
    ///
    /// # Errors
    /// If the text is anything else.
    pub fn parse(text: &str) -> Result<Self, RequestIdError> {
        match Uuid::try_parse(text) {
            Ok(uuid) if text.len() == 36 && !uuid.is_nil() => Ok(Self(uuid)),
            _ => Err(RequestIdError),
        }
    }

    /// Creates a request id from a UUID, without further checks.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Returns the 16 bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Creates a request id from its stored 16 bytes.
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

/// SHA-256 fingerprint of a command's content: distinguishes a repeated command from a different one with a reused
/// request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Computes the fingerprint of a command's kind and its encoded content without the request id. The encoding must
    /// be deterministic.
    #[must_use]
    pub fn of(kind: &str, content: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // The length prefix distinguishes ("ab", "c") from ("a", "bc").
        hash.update((kind.len() as u64).to_be_bytes());
        hash.update(kind);
        hash.update(content);
        Self(hash.finalize().into())
    }

    /// Returns the 32 bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Creates a fingerprint from its stored 32 bytes.
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
    fn fingerprints_distinguish_kind_and_content() {
        assert_eq!(Fingerprint::of("a", b"bc"), Fingerprint::of("a", b"bc"));
        assert_ne!(Fingerprint::of("a", b"bc"), Fingerprint::of("ab", b"c"));
    }
}
