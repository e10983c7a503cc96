//! An event store that repeats reads until no event is held back.

use std::time::Duration;

use diptych_kernel::{
    Partition, Position,
    ports::{
        CommandQueueState, CursorOutcome, EventPage, EventStore, Fence, LeaseOutcome, Offset, PortResult, QueueLease,
        RelayCursor, RelayState,
    },
    testing::EventStoreWrapper,
};
use diptych_postgres::PostgresEventStore;
use tokio_postgres::Client;

/// Returns whether every stored event can be read.
pub(super) const IS_SETTLED: &str = "SELECT NOT EXISTS (SELECT FROM events WHERE position >= read_horizon())";

/// Every open transaction of the server that has written holds readers back, and other tests run such transactions at
/// the same time. A suite that expects to read what it has just written must repeat the read until nothing is held
/// back.
pub(crate) struct SettledStore {
    store: PostgresEventStore,
    client: Client,
    return_when: ReturnWhen,
}

/// The condition for returning a page although events may be held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReturnWhen {
    /// It has as many events as requested.
    Full,
    /// It has any event: for a reader that continues anyway, and ends at the first empty page.
    NonEmpty,
}

impl SettledStore {
    pub(crate) fn new(store: PostgresEventStore, client: Client, return_when: ReturnWhen) -> Self {
        Self { store, client, return_when }
    }

    /// Repeats a read, a limited number of times: under concurrent writes there may always be an event that is held
    /// back.
    async fn settled<F: Future<Output = PortResult<EventPage>>>(
        &self,
        limit: usize,
        read: impl Fn() -> F,
    ) -> PortResult<EventPage> {
        const READS_MAX: usize = 1_000;
        for _ in 0..READS_MAX {
            let is_settled = self.client.query_one(IS_SETTLED, &[]).await.unwrap().get(0);
            let tail = read().await?;
            let is_enough = match self.return_when {
                ReturnWhen::Full => tail.events.len() >= limit,
                ReturnWhen::NonEmpty => !tail.events.is_empty(),
            };
            if is_settled || is_enough {
                return Ok(tail);
            }
        }
        read().await
    }
}

impl EventStoreWrapper for SettledStore {
    type Inner = PostgresEventStore;

    fn inner(&self) -> &PostgresEventStore {
        &self.store
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        self.settled(limit, || self.store.read_after(cursor_exclusive, limit)).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        self.settled(limit, || self.store.read_partition_after(partition, cursor_exclusive, limit)).await
    }
}

impl RelayState for SettledStore {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        self.store.acquire_lease(owner, duration).await
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        self.store.move_cursor(fence, cursor, duration).await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.store.release_lease(fence).await
    }
}

impl CommandQueueState for SettledStore {
    async fn acquire_queue_lease(&self, owner: &str, duration: Duration) -> PortResult<QueueLease> {
        self.store.acquire_queue_lease(owner, duration).await
    }

    async fn move_queue_cursor(&self, fence: Fence, done_before: Offset, duration: Duration) -> PortResult<bool> {
        self.store.move_queue_cursor(fence, done_before, duration).await
    }

    async fn release_queue_lease(&self, fence: Fence) -> PortResult<()> {
        self.store.release_queue_lease(fence).await
    }
}
