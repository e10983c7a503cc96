//! [`PostgresEventStore`]: the write database on Postgres.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, EventIdentity, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{
        AppendOutcome, AppendUnit, EventPage, EventStore, Loaded, PortResult, RefusalOutcome, RefusalUnit, Snapshot,
        StreamLoad, Turn,
    },
    vocabulary::Installation,
};

use super::{
    append,
    durability::DurabilityTracker,
    forget,
    horizon::{self, HorizonMonitor, OldestWriter},
    load, read, refuse,
    resources::StoreResources,
    retention::RetentionClock,
    status::{self, StoreStatus},
    turns, validate,
};
use crate::{
    clock::SystemClock,
    config::PostgresConfig,
    driver::{ConnectionFactory, KnownHistory, Pool},
    notifications::AppendNotifications,
    schema,
};

/// Maximum number of connections for turns: one that is held, and one whose locks are being released.
const TURN_CONNECTIONS_MAX: usize = 2;

/// The write database on Postgres. Clones are handles that share their connections; every call of [`open`](Self::open)
/// makes new ones.
#[derive(Clone)]
pub struct PostgresEventStore {
    resources: Arc<StoreResources>,
}

impl PostgresEventStore {
    /// Connects to a database that [`migrate`](crate::migrate) has prepared.
    ///
    /// # Errors
    /// When no host can be reached that acknowledges a commit. For an operator: when the URL is invalid, the database
    /// does not exist, its schema is older or newer than this program, or positions would be assigned a second time, as
    /// after a restore.
    pub async fn open(config: PostgresConfig) -> PortResult<Self> {
        Self::open_with_clock(config, Arc::new(SystemClock)).await
    }

    /// Like [`open`](Self::open), with a clock for the age of request ids in place of the system's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_with_clock(config: PostgresConfig, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let connections = ConnectionFactory::new(&config)?;
        let history = KnownHistory::new(config.synchronous_standby_required);
        let pool = |connections_max| Pool::new(&config, connections.clone(), history.clone(), connections_max);
        let (writers, readers) = (pool(config.write_connections_max)?, pool(config.read_connections_max)?);
        let turns = pool(TURN_CONNECTIONS_MAX)?;
        let installation = schema::check(&readers, &history).await?;
        let resources = StoreResources {
            partitions: installation.partitions,
            installation,
            history,
            request_partition_interval: config.request_partition_interval,
            event_segment_bytes: config.event_segment_bytes,
            writers,
            readers,
            turns,
            notifications: AppendNotifications::new(&config, connections),
            durability: DurabilityTracker::default(),
            horizon: HorizonMonitor::new(),
            retention: RetentionClock::new(clock),
            unreported_forgotten: Default::default(),
        };
        Ok(Self { resources: Arc::new(resources) })
    }

    /// The installation that the database belongs to.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.resources.installation
    }

    /// The position below which all positions are assigned: the next event gets this one or a larger one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_position(&self) -> PortResult<Position> {
        schema::next_position(&self.resources.readers).await
    }

    pub(crate) fn known_history(&self) -> &KnownHistory {
        &self.resources.history
    }

    /// The oldest open transaction of this database that has written: readers see nothing that was committed after it
    /// began to write. Transactions of other databases of the server do not count. The same is a metric and is logged,
    /// at most every ten seconds, when a reader is held back for more than a second.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn oldest_writer(&self) -> PortResult<Option<OldestWriter>> {
        horizon::oldest_writer(&self.resources.readers).await
    }

    /// Reads the state of the database, for operators.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn status(&self) -> PortResult<StoreStatus> {
        status::status(&self.resources.readers).await
    }

    pub(crate) fn writers(&self) -> &Pool {
        &self.resources.writers
    }

    pub(crate) fn readers(&self) -> &Pool {
        &self.resources.readers
    }
}

impl EventStore for PostgresEventStore {
    fn partitions(&self) -> Partitions {
        self.resources.partitions
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        validate::validate(units)?;
        append::append(&self.resources, units, snapshots).await
    }

    async fn take_turn(&self, partitions: &[Partition]) -> PortResult<Turn> {
        turns::take_turn(&self.resources, partitions).await
    }

    async fn refuse(&self, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
        validate::validate_refusals(refusals)?;
        refuse::refuse(&self.resources, refusals).await
    }

    async fn suspend_appends(&self, reason: &str) -> PortResult<()> {
        append::suspend(&self.resources, reason).await
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        load::load(&self.resources, streams, snapshot_format, requests).await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        read::all_after(&self.resources, cursor_exclusive, limit).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        read::partition_after(&self.resources, partition, cursor_exclusive, limit).await
    }

    async fn find_event(&self, position: Position) -> PortResult<Option<EventIdentity>> {
        read::find_event(&self.resources, position).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        read::stream_after(&self.resources, stream_id, version_exclusive, limit).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        self.resources
            .notifications
            .wait(cursor_exclusive, wait_max, || read::last_readable_position(&self.resources, cursor_exclusive))
            .await;
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        forget::forget(&self.resources, recorded_before, limit).await
    }
}
