//! Write database: events, request ids, snapshots, and the relay's lease and cursor.

mod append;
mod checksums;
mod command_queue;
mod load;
mod merge;
mod read;
mod recent;
mod refusals;
mod relay;
mod requests;
mod retention;
mod segment;

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, EventIdentity, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{
        AppendOutcome, AppendUnit, CommandQueueState, CursorOutcome, EventPage, EventStore, Fence, LeaseOutcome,
        Loaded, Offset, PortResult, QueueLease, RefusalOutcome, RefusalUnit, RelayCursor, RelayState, Snapshot,
        StreamLoad, Turn,
    },
};
use parking_lot::Mutex;
use rusqlite::Transaction;
use tokio::time::Instant;

use append::AppendResult;
use merge::MergeChunk;
use recent::{Horizon, RecentIndex};
pub use retention::ClockComparison;
use retention::RetentionClock;

use crate::{
    database::{Database, DatabaseSpec, Migration},
    folder::ReadOnlyFolder,
    storage::Storage,
};

const DATABASE: DatabaseSpec = DatabaseSpec {
    file_name: "events.db",
    migrations: &[
        Migration(include_str!("../../migrations/events/0001_events.sql")),
        Migration(include_str!("../../migrations/events/0002_file_state.sql")),
        Migration(include_str!("../../migrations/events/0003_histories.sql")),
        Migration(include_str!("../../migrations/events/0004_refusals.sql")),
        Migration(include_str!("../../migrations/events/0005_checksums.sql")),
        Migration(include_str!("../../migrations/events/0006_program_schema_min.sql")),
        Migration(include_str!("../../migrations/events/0007_command_queue.sql")),
    ],
    syncs_commits: true,
    marks_open: true,
    writer_cache_kib: 8_000,
};

/// Smallest number of events merged into the index at a time.
const MERGE_EVENTS_MIN: usize = 512;

/// Write database in SQLite. Clones are handles to the same database.
///
/// Write transactions are exclusive, also across processes. Therefore the next transaction id is one more than that of
/// the last event, and everything at or below the last committed position is final.
#[derive(Clone)]
pub struct EmbeddedEventStore {
    database: Database,
    partitions: Partitions,
    clock: Arc<dyn Clock>,
    recent: Arc<Mutex<RecentIndex>>,
    retention: Arc<RetentionClock>,
}

impl EmbeddedEventStore {
    /// Opens the write database, and creates it if it does not exist. `clock` provides the recording time of events.
    ///
    /// # Errors
    /// If the storage cannot be used, or was created with another number of partitions or by a newer version of this
    /// program.
    pub fn open(storage: &Storage, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self::new(Database::open(storage, &DATABASE, partitions)?, partitions, clock))
    }

    /// Opens the write database of a folder for reading only: every write fails.
    ///
    /// # Errors
    /// If it does not exist, has another number of partitions, or has a schema of another version.
    pub fn open_read_only(folder: &ReadOnlyFolder, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self::new(Database::open_read_only(folder, &DATABASE, partitions)?, partitions, clock))
    }

    fn new(database: Database, partitions: Partitions, clock: Arc<dyn Clock>) -> Self {
        let retention = Arc::new(RetentionClock::new(Arc::clone(&clock)));
        Self { database, partitions, clock, recent: Arc::default(), retention }
    }

    /// Compares the system clock with the times in the database, and stores the time that has really passed: call it at
    /// start and every minute or so. See [`ClockComparison`].
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn compare_clock(&self) -> PortResult<ClockComparison> {
        let retention = Arc::clone(&self.retention);
        self.database.write_without_sync(move |transaction| retention.advance(transaction)).await
    }

    /// Returns the offset of the queue of commands before which every command has its outcome.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn queue_done_before(&self) -> PortResult<Offset> {
        self.database.read(command_queue::done_before).await
    }

    pub(crate) fn shrink_log(&self) {
        self.database.shrink_log();
    }

    /// Checks for events that other processes appended.
    async fn check_for_events(&self) -> PortResult<()> {
        let horizon = self.database.read(Horizon::of).await?;
        self.database.signals().raise(horizon.last.as_i64());
        Ok(())
    }

    /// Merges a chunk of the index in the background after `events` events were appended. The chunk is larger than
    /// that, so that the merge never falls behind.
    fn merge(&self, events: usize) {
        if !self.recent.lock().wants_to_merge() {
            return;
        }
        let (recent, after) = (Arc::clone(&self.recent), Arc::clone(&self.recent));
        let work = move |transaction: &Transaction<'_>| {
            let chunk = recent.lock().next_chunk(MERGE_EVENTS_MIN.max(2 * events));
            if let Some(chunk) = &chunk {
                chunk.write(transaction)?;
            }
            Ok(chunk)
        };
        let then = move |chunk: &mut Option<MergeChunk>| {
            if let Some(chunk) = chunk {
                after.lock().merged(chunk);
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
        let batch = append::AppendBatch {
            units: units.to_vec(),
            snapshots: snapshots.to_vec(),
            partitions: self.partitions,
            now: self.clock.now(),
        };
        let (recent, known) = (Arc::clone(&self.recent), Arc::clone(&self.recent));
        let signals = Arc::clone(self.database.signals());
        // The wake-up is part of the work, because it must happen even if this future is dropped.
        let result = self
            .database
            .write_then(
                move |transaction| batch.store(transaction, &recent),
                move |result: &mut AppendResult| result.announce(&known, &signals),
            )
            .await?;
        self.merge(units.iter().map(|unit| unit.events.len()).sum());
        Ok(result.into_outcome())
    }

    /// Write transactions are exclusive and short, so writers need not wait for each other.
    async fn take_turn(&self, _: &[Partition]) -> PortResult<Turn> {
        Ok(Turn::unrestricted())
    }

    async fn refuse(&self, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
        refusals::check(refusals)?;
        let (refusals, recent, now) = (refusals.to_vec(), Arc::clone(&self.recent), self.clock.now());
        self.database.write(move |transaction| refusals::store(transaction, &recent, &refusals, now)).await
    }

    async fn suspend_appends(&self, reason: &str) -> PortResult<()> {
        let reason = reason.to_owned();
        self.database.write(move |transaction| append::suspend(transaction, &reason)).await
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        let (streams, requests, recent) = (streams.to_vec(), requests.to_vec(), Arc::clone(&self.recent));
        self.database
            .read(move |connection| load::load(connection, &recent, &streams, snapshot_format, &requests))
            .await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        let now = self.clock.now();
        self.database.read(move |connection| read::read_page(connection, None, cursor_exclusive, limit, now)).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        let now = self.clock.now();
        self.database
            .read(move |connection| read::read_page(connection, Some(partition), cursor_exclusive, limit, now))
            .await
    }

    async fn find_event(&self, position: Position) -> PortResult<Option<EventIdentity>> {
        self.database.read(move |connection| read::find_event(connection, position)).await
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
        let other_processes = self.database.may_have_other_processes();
        loop {
            let seen = signals.changed.count();
            if signals.highest() > cursor_exclusive.as_i64() || Instant::now() >= deadline {
                return;
            }
            signals.changed.wait(seen, deadline, other_processes).await;
            let is_unchanged = signals.changed.count() == seen;
            // On an error the wait ends, and the caller's next read reports the error.
            if other_processes && is_unchanged && self.check_for_events().await.is_err() {
                return;
            }
        }
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        let retention = Arc::clone(&self.retention);
        self.database
            .write(move |transaction| {
                let lag = retention.advance(transaction)?.retention_lag;
                let recorded_before = recorded_before.plus_micros(-retention::micros(lag));
                let forgotten = requests::forget(transaction, recorded_before, limit)?;
                Ok(forgotten + refusals::forget(transaction, recorded_before, limit - forgotten)?)
            })
            .await
    }
}

impl CommandQueueState for EmbeddedEventStore {
    async fn acquire_queue_lease(&self, owner: &str, duration: Duration) -> PortResult<QueueLease> {
        let (owner, clock) = (owner.to_owned(), Arc::clone(&self.clock));
        self.database.write(move |transaction| command_queue::acquire(transaction, &owner, clock.now(), duration)).await
    }

    async fn move_queue_cursor(&self, fence: Fence, done_before: Offset, duration: Duration) -> PortResult<bool> {
        let clock = Arc::clone(&self.clock);
        // Losing the newest cursor in a power failure only causes repeats.
        self.database
            .write_without_sync(move |transaction| {
                command_queue::move_cursor(transaction, fence, done_before, clock.now(), duration)
            })
            .await
    }

    async fn release_queue_lease(&self, fence: Fence) -> PortResult<()> {
        self.database.write(move |transaction| command_queue::release(transaction, fence)).await
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
        // Losing the newest cursor in a power failure only causes repeats, which readers recognize by position. Waiting
        // for the disk here would delay the appends in the queue.
        self.database
            .write_without_sync(move |transaction| {
                relay::move_cursor(transaction, fence, &cursor, clock.now(), duration)
            })
            .await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.database.write(move |transaction| relay::release(transaction, fence)).await
    }
}
