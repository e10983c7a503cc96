//! The event log: partitions, offsets and consumer groups in SQLite, with the semantics of a broker.

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
    database::{Blueprint, Database, Migration},
    storage::Storage,
};

const BLUEPRINT: Blueprint = Blueprint {
    file_name: "log.db",
    migrations: &[Migration(include_str!("../../migrations/log/0001_log.sql"))],
    // The relay finds out what a power failure has taken away and publishes it again.
    waits_for_disk: false,
    writer_cache_kib: 4_000,
};

/// The times of consumer groups.
#[derive(Clone, Copy, Debug)]
pub struct GroupTimeouts {
    /// A member that is not heard of for so long has left.
    pub session: Duration,
    /// How long a member may take to let go of a partition before it is taken away.
    pub hand_over: Duration,
}

impl Default for GroupTimeouts {
    /// Ten seconds each.
    fn default() -> Self {
        Self { session: Duration::from_secs(10), hand_over: Duration::from_secs(10) }
    }
}

/// The event log in SQLite. Clones are handles to the same place.
#[derive(Clone)]
pub struct EmbeddedEventLog {
    database: Database,
    partitions: Partitions,
    clock: Arc<dyn Clock>,
    times: GroupTimeouts,
}

impl EmbeddedEventLog {
    /// Opens the log of a place, and makes it where there is none. `clock` tells when members of groups have gone.
    ///
    /// # Errors
    /// When the place cannot be used, was made with another number of partitions, or by a newer version of this program.
    pub fn open(storage: &Storage, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let database = Database::open(storage, &BLUEPRINT, partitions)?;
        Ok(Self { database, partitions, clock, times: GroupTimeouts::default() })
    }

    /// The same log with other times for the groups that are joined through this handle.
    #[must_use]
    pub fn with_times(mut self, times: GroupTimeouts) -> Self {
        self.times = times;
        self
    }

    /// Deletes records that every group has read past, but for the newest `keep_records_min` of each partition and its last event. At most
    /// `limit` of them, so that nobody waits long; returns how many went. A log that no group reads is left alone.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn trim(&self, keep_records_min: u64, limit: usize) -> PortResult<usize> {
        self.database.write_lightly(move |transaction| records::trim(transaction, keep_records_min.max(1), limit)).await
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
        // The wake-up is part of the work, because it must come even if this future is dropped.
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
        let seat = group::Seat::new(group, member, self.times);
        let (joining, partitions, now) = (seat.clone(), self.partitions, self.clock.now());
        let signals = Arc::clone(self.database.signals());
        let session = self
            .database
            .write_then(
                move |transaction| group::join(transaction, &joining, partitions, now),
                move |_: &mut i64| signals.changed.announce(),
            )
            .await?;
        let seat = seat.with_session(session);
        Ok(EmbeddedConsumer::new(self.database.clone(), Arc::clone(&self.clock), seat, now))
    }
}
