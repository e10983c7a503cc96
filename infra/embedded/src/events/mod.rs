//! The write database: events, request ids, snapshots, and the relay's lease and cursor.

mod append;
mod load;
mod merge;
mod read;
mod recent;
mod relay;
mod requests;

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{
        AppendOutcome, AppendUnit, CursorOutcome, EventPage, EventStore, Fence, LeaseOutcome, Loaded, PortResult,
        RelayCursor, RelayState, Snapshot, StreamLoad,
    },
};
use parking_lot::Mutex;
use rusqlite::Transaction;
use tokio::time::Instant;

use append::Decided;
use merge::Slice;
use recent::{Horizon, Recent};

use crate::{
    database::{Blueprint, Database, Migration},
    storage::Storage,
};

const BLUEPRINT: Blueprint = Blueprint {
    file_name: "events.db",
    migrations: &[Migration(include_str!("../../migrations/events/0001_events.sql"))],
    waits_for_disk: true,
    writer_cache_kib: 8_000,
};

/// How many events go into the index at a time, at least.
const MERGE_EVENTS_MIN: usize = 512;

/// The write database in SQLite. Clones are handles to the same place.
///
/// A transaction that writes keeps all others out, also those of other processes, so the next transaction id is one more than that of the
/// last event, and what is committed at or below the last position is decided for ever.
#[derive(Clone)]
pub struct EmbeddedEventStore {
    database: Database,
    partitions: Partitions,
    clock: Arc<dyn Clock>,
    recent: Arc<Mutex<Recent>>,
}

impl EmbeddedEventStore {
    /// Opens the write database of a place, and makes it where there is none. `clock` gives the time that events are recorded at.
    ///
    /// # Errors
    /// When the place cannot be used, was made with another number of partitions, or by a newer version of this program.
    pub fn open(storage: &Storage, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let database = Database::open(storage, &BLUEPRINT, partitions)?;
        Ok(Self { database, partitions, clock, recent: Arc::default() })
    }

    /// Learns of what other processes appended.
    async fn look_for_events(&self) -> PortResult<()> {
        let horizon = self.database.read(Horizon::of).await?;
        self.database.signals().raise(horizon.last.as_i64());
        Ok(())
    }

    /// Has a piece of the index written after `events` events were appended: somewhat more than those, so that it never falls behind.
    fn merge(&self, events: usize) {
        if !self.recent.lock().wants_to_merge() {
            return;
        }
        let (recent, after) = (Arc::clone(&self.recent), Arc::clone(&self.recent));
        let work = move |transaction: &Transaction<'_>| {
            let slice = recent.lock().next_slice(MERGE_EVENTS_MIN.max(2 * events));
            if let Some(slice) = &slice {
                slice.write(transaction)?;
            }
            Ok(slice)
        };
        let then = move |slice: &mut Option<Slice>| {
            if let Some(slice) = slice {
                after.lock().merged(slice);
            }
        };
        self.database.write_detached(work, then);
    }
}

impl EventStore for EmbeddedEventStore {
    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        append::check(units)?;
        let batch = append::Batch {
            units: units.to_vec(),
            snapshots: snapshots.to_vec(),
            partitions: self.partitions,
            now: self.clock.now(),
        };
        let (recent, known) = (Arc::clone(&self.recent), Arc::clone(&self.recent));
        let signals = Arc::clone(self.database.signals());
        // The wake-up is part of the work, because it must come even if this future is dropped.
        let decided = self
            .database
            .write_then(
                move |transaction| batch.store(transaction, &recent),
                move |decided: &mut Decided| decided.announce(&known, &signals),
            )
            .await?;
        self.merge(units.iter().map(|unit| unit.events.len()).sum());
        Ok(decided.into_outcome())
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        let (streams, requests, recent) = (streams.to_vec(), requests.to_vec(), Arc::clone(&self.recent));
        self.database
            .read(move |connection| load::load(connection, &recent, &streams, snapshot_format, &requests))
            .await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        let now = self.clock.now();
        self.database.read(move |connection| read::tail(connection, None, cursor_exclusive, limit, now)).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        let now = self.clock.now();
        self.database
            .read(move |connection| read::tail(connection, Some(partition), cursor_exclusive, limit, now))
            .await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        let (stream_id, recent) = (stream_id.clone(), Arc::clone(&self.recent));
        self.database
            .read(move |connection| load::read_stream(connection, &recent, &stream_id, version_exclusive, limit))
            .await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        let deadline = Instant::now() + wait_max;
        let signals = self.database.signals();
        let strangers = self.database.may_have_strangers();
        loop {
            let seen = signals.changed.count();
            if signals.highest() > cursor_exclusive.as_i64() || Instant::now() >= deadline {
                return;
            }
            signals.changed.wait(seen, deadline, strangers).await;
            let is_quiet = signals.changed.count() == seen;
            // A failure here shows itself to the reader, who is told to look.
            if strangers && is_quiet && self.look_for_events().await.is_err() {
                return;
            }
        }
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        self.database.write(move |transaction| requests::forget(transaction, recorded_before, limit)).await
    }
}

impl RelayState for EmbeddedEventStore {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        let (owner, clock, partitions) = (owner.to_owned(), Arc::clone(&self.clock), self.partitions);
        self.database
            .write(move |transaction| relay::acquire(transaction, &owner, clock.now(), duration, partitions))
            .await
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        let (cursor, clock) = (cursor.clone(), Arc::clone(&self.clock));
        // A cursor that a power failure takes back costs repeats, which readers know by position; waiting for the disk would cost the
        // commands their place in the queue.
        self.database
            .write_lightly(move |transaction| relay::move_cursor(transaction, fence, &cursor, clock.now(), duration))
            .await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.database.write(move |transaction| relay::release(transaction, fence)).await
    }
}
