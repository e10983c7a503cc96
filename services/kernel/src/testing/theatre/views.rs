//! Views of the theatre.

use bytes::Bytes;

use super::{
    UNFOLDABLE,
    rows::{HouseRow, SeatRow, VisitRow, encode_row},
    rules::Event,
};
use crate::{
    domain::{DecodedEvent, FoldError, RowKey, Scope, View, ViewId},
    vocabulary::{Partition, Version},
};

/// View with one row per seat: its guest. Key: the stream.
pub const SEATS: ViewId = ViewId { name: "seats", generation: 1 };
/// View with one row per event of a seat, newest first. Group: the stream.
pub const VISITS: ViewId = ViewId { name: "visits", generation: 1 };
/// View with one row per partition, to be summed by the reader: the number of taken seats. Key: [`house_key`].
pub const HOUSES: ViewId = ViewId { name: "houses", generation: 1 };
/// View with one row per guest and seat, deleted when the guest leaves the seat. Group: the guest; sorted by stream.
pub const GUESTS: ViewId = ViewId { name: "guests", generation: 1 };

pub(super) fn all() -> Vec<Box<dyn View<Event>>> {
    vec![Box::new(Seats), Box::new(Visits), Box::new(Houses), Box::new(Guests)]
}

/// Returns the key of a partition's row in [`HOUSES`].
#[must_use]
pub fn house_key(partition: Partition) -> RowKey {
    RowKey::single(&format!("house-{partition}"))
}

fn fold_error(view: ViewId, event: DecodedEvent<'_, Event>, reason: &str) -> FoldError {
    FoldError { view, event_type: event.record.event_type.to_string(), reason: reason.to_owned() }
}

struct Seats;

impl View<Event> for Seats {
    fn id(&self) -> ViewId {
        SEATS
    }

    fn scope(&self) -> Scope {
        Scope::Stream
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        Some(RowKey::single(event.record.stream_id.as_str()))
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        let before = match row {
            Some(row) => SeatRow::decode(row).ok_or_else(|| fold_error(SEATS, event, "the row cannot be decoded"))?,
            None => SeatRow { version: Version::NONE, guest: None },
        };
        if event.event.guest() == UNFOLDABLE {
            return Err(fold_error(SEATS, event, "this guest cannot be folded"));
        }
        // Detects a projector that skips or repeats events, which the stored version alone would not show.
        if before.version.next() != event.record.version {
            return Err(fold_error(SEATS, event, "the event is not the next one"));
        }
        let guest = match event.event {
            Event::SeatReserved { guest } | Event::SeatSwapped { guest } => Some(guest.to_string()),
            Event::SeatReleased { .. } => None,
        };
        Ok(Some(SeatRow { version: event.record.version, guest }.encode()))
    }
}

struct Visits;

impl View<Event> for Visits {
    fn id(&self) -> ViewId {
        VISITS
    }

    fn scope(&self) -> Scope {
        Scope::Stream
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        Some(RowKey::new(event.record.stream_id.as_str(), VisitRow::sort_key(event.record.version)))
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        if row.is_some() {
            return Err(fold_error(VISITS, event, "the event was already folded"));
        }
        Ok(Some(VisitRow { version: event.record.version, event: event.event.clone() }.encode()))
    }
}

struct Houses;

impl View<Event> for Houses {
    fn id(&self) -> ViewId {
        HOUSES
    }

    fn scope(&self) -> Scope {
        Scope::Partition
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        Some(house_key(event.record.partition))
    }

    fn fold(&self, row: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        let mut house = match row {
            Some(row) => HouseRow::decode(row).ok_or_else(|| fold_error(HOUSES, event, "the row cannot be decoded"))?,
            None => HouseRow::default(),
        };
        let seats_taken = match event.event {
            Event::SeatReserved { .. } | Event::SeatSwapped { .. } => house.seats_taken.checked_add(1),
            Event::SeatReleased { .. } => house.seats_taken.checked_sub(1),
        };
        house.seats_taken =
            seats_taken.ok_or_else(|| fold_error(HOUSES, event, "the number of taken seats is out of range"))?;
        house.events_count = house.events_count.saturating_add(1);
        Ok(Some(house.encode()))
    }
}

struct Guests;

impl View<Event> for Guests {
    fn id(&self) -> ViewId {
        GUESTS
    }

    fn scope(&self) -> Scope {
        Scope::Stream
    }

    fn key(&self, event: DecodedEvent<'_, Event>) -> Option<RowKey> {
        let stream = event.record.stream_id.as_str().as_bytes();
        Some(RowKey::new(event.event.guest(), Bytes::copy_from_slice(stream)))
    }

    fn fold(&self, _: Option<&[u8]>, event: DecodedEvent<'_, Event>) -> Result<Option<Bytes>, FoldError> {
        Ok(match event.event {
            Event::SeatReserved { .. } | Event::SeatSwapped { .. } => {
                Some(encode_row(&[event.record.version.number()], event.record.stream_id.as_str()))
            }
            Event::SeatReleased { .. } => None,
        })
    }
}
