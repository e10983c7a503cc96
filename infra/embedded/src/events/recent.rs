//! The newest events' part of the index, in memory.
//!
//! The tables of the index are sorted by stream and by request, that is, at random as far as time goes: written with each batch, every
//! event would change pages of its own, and cost several times what the event itself costs. So they are written tens of thousands of
//! events later, in their own order. Until then this finds the events. It can be made again from them, and is when a place is opened.

use std::collections::HashMap;

use diptych_kernel::{Partition, Position, RequestId, StreamId, Timestamp, Version};
use rusqlite::Connection;

use super::merge::{Merge, Slice};
use crate::database::{Trouble, row};

/// So many events are kept here before they go to the tables together.
const EVENTS_PER_MERGE: usize = 32_768;

/// How far the database is, in one of its states.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// The position of the last event, [`Position::START`] where there is none.
    pub(super) last: Position,
    /// When it was recorded; the beginning of time where there is none.
    pub(super) recorded_at: Timestamp,
    /// The tables have everything up to here.
    pub(super) indexed_up_to: Position,
    /// Requests up to here count as new.
    pub(super) forgotten_up_to: Position,
}

impl Horizon {
    pub(super) fn of(connection: &Connection) -> Result<Self, Trouble> {
        let mut select = connection.prepare_cached(
            "SELECT COALESCE(position, 0), COALESCE(recorded_at, ?1), indexed_up_to, forgotten_up_to
             FROM event_index LEFT JOIN events ON position = (SELECT MAX(position) FROM events)",
        )?;
        let mut rows = select.query([i64::MIN])?;
        let row = rows.next()?.ok_or_else(|| row::garbled("no row for the index"))?;
        Ok(Self {
            last: row::position(row, 0)?,
            recorded_at: row::timestamp(row, 1)?,
            indexed_up_to: row::position(row, 2)?,
            forgotten_up_to: row::position(row, 3)?,
        })
    }
}

/// An event of a stream, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) version: Version,
    pub(super) position: Position,
}

/// What has to be known of an event to find it.
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) partition: Partition,
    pub(super) stream_id: StreamId,
    pub(super) version: Version,
    pub(super) request_id: RequestId,
}

/// Events that come after one another, by what they are looked for.
#[derive(Default)]
pub(super) struct Generation {
    pub(super) streams: HashMap<StreamId, Vec<Place>>,
    /// The first event of each request.
    pub(super) requests: HashMap<RequestId, Position>,
    pub(super) partitions: Vec<(Partition, Position)>,
}

/// The events after those in the tables. Shared by the clones of a handle.
#[derive(Default)]
pub(super) struct Recent {
    /// Every event after [`Horizon::indexed_up_to`] up to here is in one of the generations.
    up_to: Position,
    newest: Generation,
    /// What is on its way to the tables, piece by piece.
    merging: Option<Merge>,
}

impl Recent {
    /// Learns of the events that others have stored. The connection is in a transaction which has not read yet, so that it sees all that
    /// is known here.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> Result<Horizon, Trouble> {
        let horizon = Horizon::of(connection)?;
        if self.merging.as_ref().is_some_and(|merging| merging.up_to() <= horizon.indexed_up_to) {
            self.merging = None;
        }
        if self.up_to <= horizon.indexed_up_to {
            // Another process has written the tables; or nothing is known yet.
            self.newest = Generation::default();
            self.up_to = horizon.indexed_up_to;
        }
        if self.up_to < horizon.last {
            self.read_on(connection, horizon.last)?;
        }
        Ok(horizon)
    }

    fn read_on(&mut self, connection: &Connection, last: Position) -> Result<(), Trouble> {
        let mut select = connection.prepare_cached(
            "SELECT position, partition, stream_id, version, request_id FROM events
             WHERE position > ?1 AND position <= ?2 ORDER BY position",
        )?;
        let mut rows = select.query([self.up_to.as_i64(), last.as_i64()])?;
        while let Some(row) = rows.next()? {
            self.push(Entry {
                position: row::position(row, 0)?,
                partition: row::partition(row, 1)?,
                stream_id: row::stream_id(row, 2)?,
                version: row::version(row, 3)?,
                request_id: row::request_id(row, 4)?,
            });
        }
        Ok(())
    }

    /// Takes up the events of a transaction that was committed, where it knows all before them; otherwise they are read when needed.
    pub(super) fn append(&mut self, after: Position, entries: Vec<Entry>) {
        if self.up_to == after {
            entries.into_iter().for_each(|entry| self.push(entry));
        }
    }

    fn push(&mut self, entry: Entry) {
        let Entry { position, partition, stream_id, version, request_id } = entry;
        self.newest.streams.entry(stream_id).or_default().push(Place { version, position });
        // A request that was forgotten and came again is found at its later place; one of several events at its first.
        let first = self.newest.requests.entry(request_id).or_insert(position);
        if first.transaction_id() != position.transaction_id() {
            *first = position;
        }
        self.newest.partitions.push((partition, position));
        self.up_to = position;
    }

    /// The events of a stream that are known here, in order: the newest ones, without a gap.
    pub(super) fn places(&self, stream_id: &StreamId) -> Vec<Place> {
        let older = self.merging.as_ref().and_then(|merging| merging.generation().streams.get(stream_id));
        let newer = self.newest.streams.get(stream_id);
        older.into_iter().chain(newer).flatten().copied().collect()
    }

    /// The version of a stream, where it has an event here.
    pub(super) fn version(&self, stream_id: &StreamId) -> Option<Version> {
        let newer = self.newest.streams.get(stream_id);
        let places = newer.or_else(|| self.merging.as_ref()?.generation().streams.get(stream_id))?;
        places.last().map(|place| place.version)
    }

    /// The first event of a request, where it is here.
    pub(super) fn request(&self, request_id: &RequestId) -> Option<Position> {
        let newer = self.newest.requests.get(request_id);
        newer.or_else(|| self.merging.as_ref()?.generation().requests.get(request_id)).copied()
    }

    /// Whether there is something to be written to the tables.
    pub(super) fn wants_to_merge(&self) -> bool {
        self.merging.is_some() || self.newest.partitions.len() >= EVENTS_PER_MERGE
    }

    /// The next piece to be written.
    pub(super) fn next_slice(&mut self, events_max: usize) -> Option<Slice> {
        if self.merging.is_none() && self.wants_to_merge() {
            self.merging = Some(Merge::new(std::mem::take(&mut self.newest), self.up_to));
        }
        self.merging.as_ref().map(|merging| merging.next_slice(events_max))
    }

    /// A piece was written and is committed.
    pub(super) fn merged(&mut self, slice: &Slice) {
        if let Some(merging) = &mut self.merging {
            merging.advance(slice);
        }
    }
}
