//! In-memory index of the newest events.
//!
//! The index tables are sorted by stream and by request, so consecutive events fall on random pages: writing the tables
//! with each batch would change pages for every event, and cost several times as much as the event itself. Therefore
//! they are written tens of thousands of events later, in key order. Until then this index finds the events. It is
//! rebuilt from the events when a database is opened.

use diptych_kernel::{Partition, Position, RequestId, StreamId, Timestamp, Version};
use rusqlite::Connection;

use super::{
    merge::{IndexMerge, MergeChunk},
    segment::{EventRef, IndexSegment},
};
use crate::database::{TransactionError, row};

/// Number of events collected here before they are merged into the tables.
const EVENTS_PER_MERGE: usize = 32_768;

/// Positions that describe one state of the database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizon {
    /// The position of the last event, or [`Position::START`] if there is none.
    pub(super) last: Position,
    /// The time of the last event, or the smallest timestamp if there is none.
    pub(super) recorded_at: Timestamp,
    /// Position up to which the index tables are complete.
    pub(super) indexed_up_to: Position,
    /// Position up to which requests are forgotten.
    pub(super) forgotten_up_to: Position,
}

impl Horizon {
    pub(super) fn of(connection: &Connection) -> Result<Self, TransactionError> {
        let mut select = connection.prepare_cached(
            "SELECT COALESCE(position, 0), COALESCE(recorded_at, ?1), indexed_up_to, forgotten_up_to
             FROM event_index LEFT JOIN events ON position = (SELECT MAX(position) FROM events)",
        )?;
        let mut rows = select.query([i64::MIN])?;
        let row = rows.next()?.ok_or_else(|| row::corrupt("no row in table event_index"))?;
        Ok(Self {
            last: row::position(row, 0)?,
            recorded_at: row::timestamp(row, 1)?,
            indexed_up_to: row::position(row, 2)?,
            forgotten_up_to: row::position(row, 3)?,
        })
    }
}

/// Index data of one event.
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) partition: Partition,
    pub(super) stream_id: StreamId,
    pub(super) version: Version,
    pub(super) request_id: RequestId,
}

/// Index of the events after those in the tables. Shared by the clones of a handle.
#[derive(Default)]
pub(super) struct RecentIndex {
    /// Every event after [`Horizon::indexed_up_to`] up to this position is in one of the segments.
    up_to: Position,
    newest: IndexSegment,
    /// The segment that is being merged into the tables.
    merging: Option<IndexMerge>,
}

impl RecentIndex {
    /// Adds the events that other handles have stored. The connection must be in a transaction that has not read yet,
    /// so that its snapshot contains every event that is known here.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> Result<Horizon, TransactionError> {
        let horizon = Horizon::of(connection)?;
        if self.merging.as_ref().is_some_and(|merging| merging.up_to() <= horizon.indexed_up_to) {
            self.merging = None;
        }
        if self.up_to <= horizon.indexed_up_to {
            // Another process has merged these events into the tables, or nothing is known yet.
            self.newest = IndexSegment::default();
            self.up_to = horizon.indexed_up_to;
        }
        if self.up_to < horizon.last {
            self.read_on(connection, horizon.last)?;
        }
        Ok(horizon)
    }

    fn read_on(&mut self, connection: &Connection, last: Position) -> Result<(), TransactionError> {
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

    /// Adds the events of a committed transaction if all events before them are known; otherwise they are read when
    /// they are needed.
    pub(super) fn append(&mut self, after: Position, entries: Vec<Entry>) {
        if self.up_to == after {
            entries.into_iter().for_each(|entry| self.push(entry));
        }
    }

    fn push(&mut self, entry: Entry) {
        let Entry { position, partition, stream_id, version, request_id } = entry;
        self.newest.streams.entry(stream_id).or_default().push(EventRef { version, position });
        // A forgotten request that was stored again is found at its later position. A request with several events is
        // found at the first.
        let first = self.newest.requests.entry(request_id).or_insert(position);
        if first.transaction_id() != position.transaction_id() {
            *first = position;
        }
        self.newest.partitions.push((partition, position));
        self.up_to = position;
    }

    /// Returns the indexed events of a stream, in order and without gaps: the stream's newest ones.
    pub(super) fn event_refs(&self, stream_id: &StreamId) -> Vec<EventRef> {
        let older = self.merging.as_ref().and_then(|merging| merging.segment().streams.get(stream_id));
        let newer = self.newest.streams.get(stream_id);
        older.into_iter().chain(newer).flatten().copied().collect()
    }

    /// Returns the version of a stream, if an event of it is indexed here.
    pub(super) fn version(&self, stream_id: &StreamId) -> Option<Version> {
        let newer = self.newest.streams.get(stream_id);
        let event_refs = newer.or_else(|| self.merging.as_ref()?.segment().streams.get(stream_id))?;
        event_refs.last().map(|event| event.version)
    }

    /// Returns the position of a request's first event, if it is indexed here.
    pub(super) fn request(&self, request_id: &RequestId) -> Option<Position> {
        let newer = self.newest.requests.get(request_id);
        newer.or_else(|| self.merging.as_ref()?.segment().requests.get(request_id)).copied()
    }

    /// Returns whether entries are ready to be merged into the tables.
    pub(super) fn wants_to_merge(&self) -> bool {
        self.merging.is_some() || self.newest.partitions.len() >= EVENTS_PER_MERGE
    }

    /// Returns the next chunk to be written to the tables.
    pub(super) fn next_chunk(&mut self, events_max: usize) -> Option<MergeChunk> {
        if self.merging.is_none() && self.wants_to_merge() {
            self.merging = Some(IndexMerge::new(std::mem::take(&mut self.newest), self.up_to));
        }
        self.merging.as_ref().map(|merging| merging.next_chunk(events_max))
    }

    /// Records that a chunk was written and committed.
    pub(super) fn merged(&mut self, chunk: &MergeChunk) {
        if let Some(merging) = &mut self.merging {
            merging.advance(chunk);
        }
    }
}
