//! Merge of an index segment into the index tables, in key order and in chunks, so that no append waits long.

use std::ops::Range;

use diptych_kernel::{Partition, Position, RequestId, StreamId};
use rusqlite::{Transaction, params};

use super::segment::{EventRef, IndexSegment};
use crate::database::TransactionError;

/// Index segment that is being written to the tables. Lookups use it until it is written completely.
pub(super) struct IndexMerge {
    segment: IndexSegment,
    up_to: Position,
    /// The keys of the segment, in the order of the tables.
    streams: Vec<StreamId>,
    requests: Vec<RequestId>,
    partitions: Vec<(Partition, Position)>,
    done: MergeProgress,
}

/// Number of entries written to each table.
#[derive(Clone, Copy, Debug, Default)]
struct MergeProgress {
    streams: usize,
    requests: usize,
    partitions: usize,
}

/// Chunk of entries for each table.
pub(super) struct MergeChunk {
    streams: Vec<(StreamId, Vec<EventRef>)>,
    requests: Vec<(RequestId, Position)>,
    partitions: Vec<(Partition, Position)>,
    next: MergeProgress,
    /// Set in the last chunk: the position up to which the tables are complete after it.
    completes: Option<Position>,
}

impl IndexMerge {
    /// Starts the merge of a segment that contains all events up to `up_to` that the tables do not have.
    pub(super) fn new(segment: IndexSegment, up_to: Position) -> Self {
        let mut streams: Vec<_> = segment.streams.keys().cloned().collect();
        let mut requests: Vec<_> = segment.requests.keys().copied().collect();
        let mut partitions = segment.partitions.clone();
        streams.sort_unstable();
        requests.sort_unstable();
        partitions.sort_unstable();
        Self { segment, up_to, streams, requests, partitions, done: MergeProgress::default() }
    }

    pub(super) fn segment(&self) -> &IndexSegment {
        &self.segment
    }

    pub(super) fn up_to(&self) -> Position {
        self.up_to
    }

    /// Returns the next chunk, of about `events_max` events.
    pub(super) fn next_chunk(&self, events_max: usize) -> MergeChunk {
        let done = self.done;
        let (mut next, mut events, mut streams) = (done, 0, Vec::new());
        for stream_id in self.streams.iter().skip(done.streams) {
            if events >= events_max {
                break;
            }
            let event_refs = self.segment.streams.get(stream_id).cloned().unwrap_or_default();
            events += event_refs.len();
            next.streams += 1;
            streams.push((stream_id.clone(), event_refs));
        }
        let requests = part(&self.requests, done.requests, events_max, &mut next.requests);
        let partitions = part(&self.partitions, done.partitions, events_max, &mut next.partitions);
        let position = |id: &RequestId| self.segment.requests.get(id).map(|position| (*id, *position));
        let is_all = next.streams >= self.streams.len()
            && next.requests >= self.requests.len()
            && next.partitions >= self.partitions.len();
        MergeChunk {
            streams,
            requests: requests.iter().filter_map(position).collect(),
            partitions: partitions.to_vec(),
            next,
            completes: is_all.then_some(self.up_to),
        }
    }

    pub(super) fn advance(&mut self, chunk: &MergeChunk) {
        self.done = chunk.next;
    }
}

/// Returns up to `count` elements from `start`, and sets `next` to the index after them.
fn part<'a, T>(all: &'a [T], start: usize, count: usize, next: &mut usize) -> &'a [T] {
    let range = Range { start: start.min(all.len()), end: start.saturating_add(count).min(all.len()) };
    *next = range.end;
    all.get(range).unwrap_or_default()
}

impl MergeChunk {
    /// Writes the chunk. Idempotent, also across processes.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), TransactionError> {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO events_by_stream (stream_id, version, position) VALUES (?1, ?2, ?3)",
        )?;
        for (stream_id, event_refs) in &self.streams {
            for EventRef { version, position } in event_refs {
                insert.execute(params![stream_id.as_str(), version.number(), position.as_i64()])?;
            }
        }
        // A forgotten request may have been stored again.
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO events_by_request (request_id, position) VALUES (?1, ?2)
             ON CONFLICT (request_id) DO UPDATE SET position = excluded.position WHERE excluded.position > position",
        )?;
        for (request_id, position) in &self.requests {
            upsert.execute(params![request_id.as_bytes(), position.as_i64()])?;
        }
        let mut insert = transaction
            .prepare_cached("INSERT OR IGNORE INTO events_by_partition (partition, position) VALUES (?1, ?2)")?;
        for (partition, position) in &self.partitions {
            insert.execute(params![partition.number(), position.as_i64()])?;
        }
        if let Some(up_to) = self.completes {
            transaction
                .prepare_cached("UPDATE event_index SET indexed_up_to = MAX(indexed_up_to, ?1)")?
                .execute([up_to.as_i64()])?;
        }
        Ok(())
    }
}
