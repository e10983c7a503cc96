//! Encoding of the theatre's rows, hand-written like that of the events.

use std::str;

use bytes::{BufMut, Bytes, BytesMut};

use super::{codec, rules::Event};
use crate::vocabulary::Version;

/// Row of [`SEATS`](super::SEATS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatRow {
    /// The version of the seat.
    pub version: Version,
    /// The guest who holds the seat.
    pub guest: Option<String>,
}

impl SeatRow {
    /// Encodes the row for storage.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_row(&[self.version.number()], self.guest.as_deref().unwrap_or_default())
    }

    /// Decodes a stored row; returns `None` if it is invalid.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (version, rest) = take_u32(body)?;
        let guest = str::from_utf8(rest).ok()?.to_owned();
        Some(Self { version: Version::new(version), guest: Some(guest).filter(|guest| !guest.is_empty()) })
    }
}

/// Row of [`VISITS`](super::VISITS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitRow {
    /// The seat's version after the event.
    pub version: Version,
    /// The event.
    pub event: Event,
}

impl VisitRow {
    /// Encodes the row for storage.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (event_type, payload) = codec::encode_event(&self.event);
        let mut bytes = BytesMut::new();
        bytes.put_u32(self.version.number());
        bytes.put_slice(event_type.as_bytes());
        bytes.put_u8(0);
        bytes.put_slice(&payload);
        bytes.freeze()
    }

    /// Decodes a stored row; returns `None` if it is invalid.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (version, rest) = take_u32(body)?;
        let mut parts = rest.splitn(2, |byte| *byte == 0);
        let event_type = str::from_utf8(parts.next()?).ok()?;
        let event = codec::decode_event(event_type, parts.next()?).ok()?;
        Some(Self { version: Version::new(version), event })
    }

    /// Returns the sort key of an event's row: newer events sort first.
    #[must_use]
    pub fn sort_key(version: Version) -> Bytes {
        Bytes::copy_from_slice(&(u32::MAX - version.number()).to_be_bytes())
    }
}

/// Row of [`HOUSES`](super::HOUSES).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HouseRow {
    /// Number of taken seats in the partition.
    pub seats_taken: u32,
    /// Number of events in the partition.
    pub events_count: u32,
}

impl HouseRow {
    /// Encodes the row for storage.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_row(&[self.seats_taken, self.events_count], "")
    }

    /// Decodes a stored row; returns `None` if it is invalid.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (seats_taken, rest) = take_u32(body)?;
        let (events_count, rest) = take_u32(rest)?;
        rest.is_empty().then_some(Self { seats_taken, events_count })
    }
}

/// Encodes numbers followed by a text.
pub(super) fn encode_row(numbers: &[u32], text: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    for number in numbers {
        bytes.put_u32(*number);
    }
    bytes.put_slice(text.as_bytes());
    bytes.freeze()
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk::<4>().map(|(number, rest)| (u32::from_be_bytes(*number), rest))
}
