//! The write database.

mod append;
mod check;
mod forget;
mod held_back;
mod load;
mod read;
mod receipts;
mod safe;

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{AppendOutcome, AppendUnit, EventPage, EventStore, Loaded, PortResult, Snapshot, StreamLoad},
};

pub use held_back::OldestWriter;

use crate::{
    PostgresConfig, schema,
    wake::Wake,
    wire::{Connector, Pool},
};
use held_back::HeldBack;
use safe::Safe;

/// The write database on Postgres. Clones are handles that share their connections; a handle that is opened anew has its own.
#[derive(Clone)]
pub struct PostgresEventStore {
    inner: Arc<Inner>,
}

struct Inner {
    partitions: Partitions,
    request_shelf_age: Duration,
    writers: Pool,
    readers: Pool,
    wake: Wake,
    safe: Safe,
    held_back: HeldBack,
}

impl PostgresEventStore {
    /// Connects to a database that [`migrate`](crate::migrate) has made.
    ///
    /// # Errors
    /// When no host can be reached that acknowledges a commit; and, which only a person can mend, when the URL is wrong, the schema is older
    /// or newer than this program, or positions would be given out a second time, as after a restore.
    pub async fn open(config: PostgresConfig) -> PortResult<Self> {
        let connector = Connector::new(&config)?;
        let pool = |connections_max| Pool::new(&config, connector.clone(), connections_max);
        let (writers, readers) = (pool(config.write_connections_max)?, pool(config.read_connections_max)?);
        let partitions = schema::check(&readers).await?;
        let inner = Inner {
            partitions,
            request_shelf_age: config.request_shelf_age,
            writers,
            readers,
            wake: Wake::new(&config, connector),
            safe: Safe::default(),
            held_back: HeldBack::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The transaction that has written, is not over, and is the oldest such one of the whole server: readers see nothing that was committed
    /// after it began to write. For a metric. The same is logged, at most every ten seconds, where a reader is held back for
    /// more than a second.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn oldest_writer(&self) -> PortResult<Option<OldestWriter>> {
        held_back::oldest_writer(&self.inner.readers).await
    }

    pub(crate) fn writers(&self) -> &Pool {
        &self.inner.writers
    }

    #[cfg(feature = "testing")]
    pub(crate) fn readers(&self) -> &Pool {
        &self.inner.readers
    }
}

impl EventStore for PostgresEventStore {
    fn partitions(&self) -> Partitions {
        self.inner.partitions
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        check::check(units)?;
        append::append(&self.inner, units, snapshots).await
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        load::load(&self.inner, streams, snapshot_format, requests).await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        read::all_after(&self.inner, cursor_exclusive, limit).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        read::partition_after(&self.inner, partition, cursor_exclusive, limit).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        read::stream_after(&self.inner, stream_id, version_exclusive, limit).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        self.inner.wake.wait(cursor_exclusive, wait_max, || read::look(&self.inner)).await;
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        forget::forget(&self.inner, recorded_before, limit).await
    }
}
