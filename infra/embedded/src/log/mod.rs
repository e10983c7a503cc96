//! Event log in SQLite: partitions, offsets and consumer groups, with the semantics of a Kafka broker.

mod consumer;
mod group;
mod reading;
mod records;

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partitions,
    ports::{EventLog, LogEntry, PartitionEnd, PortError, PortResult},
};

pub use consumer::EmbeddedConsumer;

use crate::{
    database::{Database, DatabaseSpec, Migration},
    storage::Storage,
};

const DATABASE: DatabaseSpec = DatabaseSpec {
    file_name: "log.db",
    migrations: &[
        Migration(include_str!("../../migrations/log/0001_log.sql")),
        Migration(include_str!("../../migrations/log/0002_history.sql")),
        Migration(include_str!("../../migrations/log/0003_program_schema_min.sql")),
    ],
    // After a power failure, the relay detects the lost records and publishes them again.
    syncs_commits: false,
    marks_open: false,
    writer_cache_kib: 4_000,
};

/// Timeouts of consumer groups.
#[derive(Clone, Copy, Debug)]
pub struct GroupTimeouts {
    /// Session timeout: a member without a heartbeat for this long is removed from its group.
    pub session: Duration,
    /// Time for which a member may keep a revoked partition before it is taken away.
    pub handover: Duration,
}

impl Default for GroupTimeouts {
    /// Both timeouts are ten seconds.
    fn default() -> Self {
        Self { session: Duration::from_secs(10), handover: Duration::from_secs(10) }
    }
}

/// Event log in SQLite. Clones are handles to the same log.
#[derive(Clone)]
pub struct EmbeddedEventLog {
    database: Database,
    partitions: Partitions,
    clock: Arc<dyn Clock>,
    timeouts: GroupTimeouts,
}

impl EmbeddedEventLog {
    /// Opens the log, and creates it if it does not exist. `clock` determines when the sessions of group members
    /// expire.
    ///
    /// # Errors
    /// If the storage cannot be used, or was created with another number of partitions or by a newer version of this
    /// program.
    pub fn open(storage: &Storage, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let database = Database::open(storage, &DATABASE, partitions)?;
        Ok(Self { database, partitions, clock, timeouts: GroupTimeouts::default() })
    }

    /// Sets the timeouts of the groups that are joined through this handle.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: GroupTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    pub(crate) fn shrink_log(&self) {
        self.database.shrink_log();
    }

    /// Deletes records below the committed offsets of all groups, except the newest `keep_records_min` of each
    /// partition and its last event. Deletes at most `limit` records, so that other callers do not wait long, and
    /// returns how many it deleted. A log that no group reads is not trimmed.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn trim(&self, keep_records_min: u64, limit: usize) -> PortResult<usize> {
        self.database
            .write_without_sync(move |transaction| records::trim(transaction, keep_records_min.max(1), limit))
            .await
    }
}

impl EventLog for EmbeddedEventLog {
    type Consumer = EmbeddedConsumer;

    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            if entry.partition().number() >= self.partitions.count() {
                return Err(PortError::operator(format!("the log has no partition {}", entry.partition())));
            }
        }
        let entries = entries.to_vec();
        let signals = Arc::clone(self.database.signals());
        // The wake-up is part of the work, because it must happen even if this future is dropped.
        self.database
            .write_then(
                move |transaction| records::append(transaction, &entries),
                move |(): &mut ()| signals.changed.announce(),
            )
            .await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        let partitions = self.partitions;
        self.database.read(move |connection| records::ends(connection, partitions)).await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<EmbeddedConsumer> {
        let membership = group::Membership::new(group, member, self.timeouts);
        let (joining, partitions, now) = (membership.clone(), self.partitions, self.clock.now());
        let signals = Arc::clone(self.database.signals());
        let session = self
            .database
            .write_then(
                move |transaction| group::join(transaction, &joining, partitions, now),
                move |_: &mut i64| signals.changed.announce(),
            )
            .await?;
        let membership = membership.with_session(session);
        Ok(EmbeddedConsumer::new(self.database.clone(), Arc::clone(&self.clock), membership, now))
    }
}
