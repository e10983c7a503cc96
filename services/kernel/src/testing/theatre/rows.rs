//! The rows of the views, written down by hand like the events.

use std::str;

use bytes::{BufMut, Bytes, BytesMut};

use super::{codec, rules::Event};
use crate::vocabulary::Version;

/// A row of [`SEATS`](super::SEATS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatRow {
    /// The version of the seat.
    pub version: Version,
    /// Who has it.
    pub guest: Option<String>,
}

impl SeatRow {
    /// The row as stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_row(&[self.version.number()], self.guest.as_deref().unwrap_or_default())
    }

    /// Reads a stored row; `None` where it is not one.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (version, rest) = take_u32(body)?;
        let guest = str::from_utf8(rest).ok()?.to_owned();
        Some(Self { version: Version::new(version), guest: Some(guest).filter(|guest| !guest.is_empty()) })
    }
}

/// A row of [`VISITS`](super::VISITS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisitRow {
    /// The version that the event gave the seat.
    pub version: Version,
    /// What happened.
    pub event: Event,
}

impl VisitRow {
    /// The row as stored.
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

    /// Reads a stored row; `None` where it is not one.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (version, rest) = take_u32(body)?;
        let mut parts = rest.splitn(2, |byte| *byte == 0);
        let event_type = str::from_utf8(parts.next()?).ok()?;
        let event = codec::decode_event(event_type, parts.next()?).ok()?;
        Some(Self { version: Version::new(version), event })
    }

    /// Where the row of an event stands in its group: the later, the earlier.
    #[must_use]
    pub fn sort_key(version: Version) -> Bytes {
        Bytes::copy_from_slice(&(u32::MAX - version.number()).to_be_bytes())
    }
}

/// A row of [`HOUSES`](super::HOUSES).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HouseRow {
    /// How many seats of the partition are taken.
    pub seats_taken: u32,
    /// How many events the partition has.
    pub events_count: u32,
}

impl HouseRow {
    /// The row as stored.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_row(&[self.seats_taken, self.events_count], "")
    }

    /// Reads a stored row; `None` where it is not one.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (seats_taken, rest) = take_u32(body)?;
        let (events_count, rest) = take_u32(rest)?;
        rest.is_empty().then_some(Self { seats_taken, events_count })
    }
}

/// Numbers, and a text to the end.
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
