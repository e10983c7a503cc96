//! Writing events to the tables of the index, in the order of each table and piece by piece, so that no append waits for long.

use std::ops::Range;

use diptych_kernel::{Partition, Position, RequestId, StreamId};
use rusqlite::{Transaction, params};

use super::recent::{Generation, Place};
use crate::database::Trouble;

/// A generation on its way to the tables. It can be looked into until all of it is there.
pub(super) struct Merge {
    generation: Generation,
    up_to: Position,
    /// The keys of the generation in the order of the tables.
    streams: Vec<StreamId>,
    requests: Vec<RequestId>,
    partitions: Vec<(Partition, Position)>,
    done: Progress,
}

/// How much of each table is written.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    streams: usize,
    requests: usize,
    partitions: usize,
}

/// A piece of each table.
pub(super) struct Slice {
    streams: Vec<(StreamId, Vec<Place>)>,
    requests: Vec<(RequestId, Position)>,
    partitions: Vec<(Partition, Position)>,
    next: Progress,
    /// Set on the last piece: from then on the tables have everything up to here.
    completes: Option<Position>,
}

impl Merge {
    /// Starts writing a generation, which has everything up to a position that the tables do not have.
    pub(super) fn new(generation: Generation, up_to: Position) -> Self {
        let mut streams: Vec<_> = generation.streams.keys().cloned().collect();
        let mut requests: Vec<_> = generation.requests.keys().copied().collect();
        let mut partitions = generation.partitions.clone();
        streams.sort_unstable();
        requests.sort_unstable();
        partitions.sort_unstable();
        Self { generation, up_to, streams, requests, partitions, done: Progress::default() }
    }

    pub(super) fn generation(&self) -> &Generation {
        &self.generation
    }

    pub(super) fn up_to(&self) -> Position {
        self.up_to
    }

    /// The next piece of about so many events.
    pub(super) fn next_slice(&self, events_max: usize) -> Slice {
        let done = self.done;
        let (mut next, mut events, mut streams) = (done, 0, Vec::new());
        for stream_id in self.streams.iter().skip(done.streams) {
            if events >= events_max {
                break;
            }
            let places = self.generation.streams.get(stream_id).cloned().unwrap_or_default();
            events += places.len();
            next.streams += 1;
            streams.push((stream_id.clone(), places));
        }
        let requests = part(&self.requests, done.requests, events_max, &mut next.requests);
        let partitions = part(&self.partitions, done.partitions, events_max, &mut next.partitions);
        let position = |id: &RequestId| self.generation.requests.get(id).map(|position| (*id, *position));
        let is_all = next.streams >= self.streams.len()
            && next.requests >= self.requests.len()
            && next.partitions >= self.partitions.len();
        Slice {
            streams,
            requests: requests.iter().filter_map(position).collect(),
            partitions: partitions.to_vec(),
            next,
            completes: is_all.then_some(self.up_to),
        }
    }

    pub(super) fn advance(&mut self, slice: &Slice) {
        self.done = slice.next;
    }
}

/// Up to `count` of `all` from `start` on; `next` becomes the place after them.
fn part<'a, T>(all: &'a [T], start: usize, count: usize, next: &mut usize) -> &'a [T] {
    let range = Range { start: start.min(all.len()), end: start.saturating_add(count).min(all.len()) };
    *next = range.end;
    all.get(range).unwrap_or_default()
}

impl Slice {
    /// Writes the piece. Doing so again, or after another process has, changes nothing.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), Trouble> {
        let mut insert = transaction.prepare_cached(
            "INSERT OR IGNORE INTO events_by_stream (stream_id, version, position) VALUES (?1, ?2, ?3)",
        )?;
        for (stream_id, places) in &self.streams {
            for Place { version, position } in places {
                insert.execute(params![stream_id.as_str(), version.number(), position.as_i64()])?;
            }
        }
        // A request that was forgotten may have come again.
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
