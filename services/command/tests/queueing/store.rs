//! A write database that can go down, and a queue that can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use diptych_embedded::EmbeddedEventStore;
use diptych_kernel::{
    Partition, RequestId,
    ports::{
        AppendOutcome, AppendUnit, CommandQueue, CommandQueueState, Fence, Loaded, Offset, PortError, PortResult,
        QueueEnds, QueueLease, QueueRecord, QueuedCommand, RefusalOutcome, RefusalUnit, Snapshot, StreamLoad, Turn,
    },
    testing::EventStoreWrapper,
};
use parking_lot::Mutex;
use tokio::{sync::watch, task::yield_now, time::timeout};

/// Lease and cursor. The lease expires only by `steal`, as tests have no need of another expiry.
#[derive(Debug, Default)]
struct State {
    owner: Option<String>,
    fence: u64,
    done_before: u64,
}

/// A write database in memory that fails while it is down.
pub(crate) struct Store {
    inner: Arc<EmbeddedEventStore>,
    is_down: AtomicBool,
    /// The next append is made, and its answer is lost.
    loses_answer: AtomicBool,
    state: Mutex<State>,
}

impl Store {
    pub(crate) fn new(inner: Arc<EmbeddedEventStore>) -> Self {
        Self { inner, is_down: AtomicBool::new(false), loses_answer: AtomicBool::new(false), state: Mutex::default() }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Relaxed);
    }

    pub(crate) fn lose_next_answer(&self) {
        self.loses_answer.store(true, Relaxed);
    }

    pub(crate) fn done_before(&self) -> u64 {
        self.state.lock().done_before
    }

    /// Lets the lease of an owner that has crashed expire.
    pub(crate) fn expire_lease(&self) {
        self.state.lock().owner = None;
    }

    async fn check(&self) -> PortResult<()> {
        yield_now().await;
        if self.is_down.load(Relaxed) { Err(PortError::not_done("down")) } else { Ok(()) }
    }
}

impl EventStoreWrapper for Store {
    type Inner = EmbeddedEventStore;

    fn inner(&self) -> &EmbeddedEventStore {
        &self.inner
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        self.check().await?;
        let outcome = diptych_kernel::ports::EventStore::append(&*self.inner, units, snapshots).await?;
        if self.loses_answer.swap(false, Relaxed) {
            return Err(PortError::unknown("the answer is lost"));
        }
        Ok(outcome)
    }

    async fn refuse(&self, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
        self.check().await?;
        diptych_kernel::ports::EventStore::refuse(&*self.inner, refusals).await
    }

    async fn take_turn(&self, partitions: &[Partition]) -> PortResult<Turn> {
        self.check().await?;
        diptych_kernel::ports::EventStore::take_turn(&*self.inner, partitions).await
    }

    async fn load(&self, streams: &[StreamLoad], format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        self.check().await?;
        diptych_kernel::ports::EventStore::load(&*self.inner, streams, format, requests).await
    }
}

impl CommandQueueState for Store {
    async fn acquire_queue_lease(&self, owner: &str, _: Duration) -> PortResult<QueueLease> {
        self.check().await?;
        let mut state = self.state.lock();
        if state.owner.as_deref() != Some(owner) && state.owner.is_none() {
            state.owner = Some(owner.to_owned());
            state.fence += 1;
        }
        let fence = (state.owner.as_deref() == Some(owner)).then_some(Fence(state.fence));
        Ok(QueueLease { fence, done_before: Offset(state.done_before) })
    }

    async fn move_queue_cursor(&self, fence: Fence, done_before: Offset, _: Duration) -> PortResult<bool> {
        self.check().await?;
        let mut state = self.state.lock();
        let is_held = state.owner.is_some() && state.fence == fence.0;
        if is_held {
            state.done_before = state.done_before.max(done_before.0);
        }
        Ok(is_held)
    }

    async fn release_queue_lease(&self, fence: Fence) -> PortResult<()> {
        self.check().await?;
        let mut state = self.state.lock();
        if state.fence == fence.0 {
            state.owner = None;
        }
        Ok(())
    }
}

/// A queue in memory, with gaps between its offsets, as a log has.
pub(crate) struct Queue {
    records: watch::Sender<Vec<QueueRecord>>,
    is_down: AtomicBool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { records: watch::Sender::new(Vec::new()), is_down: AtomicBool::new(false) }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Relaxed);
    }

    pub(crate) fn records(&self) -> Vec<QueueRecord> {
        self.records.borrow().clone()
    }

    /// Deletes everything, as a retention does that is too short.
    pub(crate) fn delete_all(&self) {
        self.records.send_modify(Vec::clear);
    }

    fn check(&self) -> PortResult<()> {
        if self.is_down.load(Relaxed) { Err(PortError::not_done("the queue is down")) } else { Ok(()) }
    }
}

impl CommandQueue for Queue {
    async fn append(&self, commands: &[QueuedCommand]) -> PortResult<Vec<Offset>> {
        yield_now().await;
        self.check()?;
        let mut offsets = Vec::new();
        self.records.send_modify(|records| {
            for command in commands {
                let offset = Offset(records.last().map_or(5, |last| last.offset.0 + 2));
                records.push(QueueRecord { offset, command: command.clone() });
                offsets.push(offset);
            }
        });
        Ok(offsets)
    }

    async fn read(&self, from: Offset, limit: usize, wait_max: Duration) -> PortResult<Vec<QueueRecord>> {
        yield_now().await;
        self.check()?;
        let is_there = |records: &Vec<QueueRecord>| records.last().is_some_and(|last| last.offset >= from);
        let mut records = self.records.subscribe();
        let found = match timeout(wait_max, records.wait_for(is_there)).await {
            Ok(records) => {
                records.unwrap().iter().filter(|record| record.offset >= from).take(limit).cloned().collect()
            }
            Err(_elapsed) => Vec::new(),
        };
        Ok(found)
    }

    async fn ends(&self) -> PortResult<QueueEnds> {
        self.check()?;
        let records = self.records.borrow();
        let next = Offset(records.last().map_or(1_000_000, |last| last.offset.0 + 1));
        Ok(QueueEnds { first: records.first().map_or(next, |first| first.offset), next })
    }
}
