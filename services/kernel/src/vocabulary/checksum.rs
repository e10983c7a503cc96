//! Checksums of stored events and snapshots.

use sha2::{Digest, Sha256};

use super::{Position, RequestId, StreamId, Version};

/// Checksum of a stored event or snapshot: the first 8 bytes of SHA-256. Stored beside it, and compared when it is read
/// or verified: it shows bytes that were changed by a fault of the storage, or by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum([u8; 8]);

impl Checksum {
    /// Computes the checksum of an event.
    #[must_use]
    pub fn of_event(
        position: Position,
        version: Version,
        request_id: RequestId,
        stream_id: &StreamId,
        event_type: &str,
        payload: &[u8],
    ) -> Self {
        Self::of(&[
            &position.as_i64().to_be_bytes(),
            &i64::from(version.number()).to_be_bytes(),
            request_id.as_bytes(),
            stream_id.as_str().as_bytes(),
            b"\n",
            event_type.as_bytes(),
            b"\n",
            payload,
        ])
    }

    /// Computes the checksum of a snapshot.
    #[must_use]
    pub fn of_snapshot(version: Version, format: u32, stream_id: &StreamId, state: &[u8]) -> Self {
        Self::of(&[
            &i64::from(version.number()).to_be_bytes(),
            &i64::from(format).to_be_bytes(),
            stream_id.as_str().as_bytes(),
            b"\n",
            state,
        ])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let digest = parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize();
        let mut checksum = [0; 8];
        checksum.iter_mut().zip(digest).for_each(|(own, byte)| *own = byte);
        Self(checksum)
    }

    /// The bytes as they are stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_snapshot(version: u32, format: u32, stream: &str, state: &[u8]) -> Checksum {
        Checksum::of_snapshot(Version::new(version), format, &StreamId::new(stream).unwrap(), state)
    }

    #[test]
    fn every_part_changes_the_checksum() {
        let checksum = of_snapshot(7, 1, "account-a", b"open");
        for other in [
            of_snapshot(8, 1, "account-a", b"open"),
            of_snapshot(7, 2, "account-a", b"open"),
            of_snapshot(7, 1, "account-b", b"open"),
            of_snapshot(7, 1, "account-a", b"shut"),
        ] {
            assert_ne!(checksum, other);
        }
        assert_eq!(checksum, of_snapshot(7, 1, "account-a", b"open"));
    }

    /// Stored checksums must stay valid, and Postgres computes the same.
    #[test]
    fn the_checksum_never_changes() {
        let digest = Sha256::digest(b"\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x01account-a\nopen");
        assert_eq!(of_snapshot(7, 1, "account-a", b"open").as_bytes()[..], digest[..8]);
    }
}
