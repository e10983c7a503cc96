//! Stored form of refusals.
//!
//! A refusal is stored under its request id, so that a repeated command gets the same one: a tag of one byte, then the
//! domain's encoding, or the values of a version mismatch.

use bytes::{BufMut, Bytes, BytesMut};
use diptych_kernel::{
    StreamId, Version,
    domain::{DecodeError, Domain},
    ports::REFUSAL_BYTES_MAX,
};

use crate::CommandError;

const REFUSAL: &str = "stored refusal";
const RULE: u8 = 0;
const VERSION_MISMATCH: u8 = 1;
const EXPIRED: u8 = 2;

/// Encodes the refusal of a rule. `None` if the domain's encoding is too large to be stored.
pub(crate) fn encode_rule<D: Domain>(refusal: &D::Refusal) -> Option<Bytes> {
    let body = D::encode_refusal(refusal);
    let encoded = [&[RULE], &body[..]].concat();
    (encoded.len() <= REFUSAL_BYTES_MAX).then(|| encoded.into())
}

/// Encodes a version mismatch.
pub(crate) fn encode_version_mismatch(stream_id: &StreamId, expected: Version, actual: Version) -> Bytes {
    let mut encoded = BytesMut::new();
    encoded.put_u8(VERSION_MISMATCH);
    encoded.put_u32(expected.number());
    encoded.put_u32(actual.number());
    encoded.put_slice(stream_id.as_str().as_bytes());
    encoded.freeze()
}

/// Encodes that a queued command was too old when it could be executed.
pub(crate) fn encode_expired() -> Bytes {
    Bytes::from_static(&[EXPIRED])
}

/// Decodes a stored refusal to the error of its command.
pub(crate) fn decode<D: Domain>(encoded: &[u8]) -> Result<CommandError<D::Refusal>, DecodeError> {
    let (tag, body) = encoded.split_first().ok_or_else(|| DecodeError::new(REFUSAL, "it is empty"))?;
    match *tag {
        RULE => D::decode_refusal(body).map(CommandError::Refused),
        VERSION_MISMATCH => decode_version_mismatch(body),
        EXPIRED => Ok(CommandError::Expired),
        other => Err(DecodeError::new(REFUSAL, format_args!("unknown tag {other}"))),
    }
}

fn decode_version_mismatch<R>(body: &[u8]) -> Result<CommandError<R>, DecodeError> {
    let version = |bytes: &[u8; 4]| Version::new(u32::from_be_bytes(*bytes));
    let too_short = || DecodeError::new(REFUSAL, "it is too short");
    let (expected, body) = body.split_first_chunk::<4>().ok_or_else(too_short)?;
    let (actual, name) = body.split_first_chunk::<4>().ok_or_else(too_short)?;
    let name = str::from_utf8(name).map_err(|error| DecodeError::new(REFUSAL, error))?;
    let stream_id = StreamId::new(name).map_err(|error| DecodeError::new(REFUSAL, error))?;
    Ok(CommandError::VersionMismatch { stream_id, expected: version(expected), actual: version(actual) })
}

#[cfg(test)]
mod tests {
    use diptych_kernel::testing::theatre::{Refusal, Theatre, seat};

    use super::*;

    #[test]
    fn a_refusal_is_read_back_as_it_was_stored() {
        for refusal in [Refusal::SeatTaken("ada".into()), Refusal::SeatFree, Refusal::SameSeat, Refusal::GuestName] {
            let encoded = encode_rule::<Theatre>(&refusal).unwrap();
            assert_eq!(decode::<Theatre>(&encoded), Ok(CommandError::Refused(refusal)));
        }
        let (stream_id, expected, actual) = (seat("A1"), Version::new(3), Version::new(u32::MAX));
        let encoded = encode_version_mismatch(&stream_id, expected, actual);
        let mismatch = CommandError::VersionMismatch { stream_id, expected, actual };
        assert_eq!(decode::<Theatre>(&encoded), Ok(mismatch));
    }

    #[test]
    fn a_refusal_that_cannot_be_read_is_an_error() {
        for invalid in [&b""[..], b"\x03", b"\x00?", b"\x01\0\0\0\0\0\0\0", b"\x01\0\0\0\x01\0\0\0\x02\xff"] {
            assert!(decode::<Theatre>(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn a_refusal_that_is_too_large_is_not_encoded() {
        let guest = |bytes| Refusal::SeatTaken("a".repeat(bytes).into());
        assert!(encode_rule::<Theatre>(&guest(REFUSAL_BYTES_MAX - 2)).is_some());
        assert!(encode_rule::<Theatre>(&guest(REFUSAL_BYTES_MAX - 1)).is_none());
    }
}
