//! Event store with injected faults.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{CallOutcome, FaultInjector};
use crate::{
    ports::{
        AppendOutcome, AppendUnit, CursorOutcome, EventPage, EventStore, Fence, LeaseOutcome, Loaded, PortResult,
        RefusalOutcome, RefusalUnit, RelayCursor, RelayState, Snapshot, StreamLoad, Turn,
    },
    vocabulary::{
        EventIdentity, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    },
};

/// Wraps an event store, and its relay state if it has one, and injects faults.
///
/// An append of unknown effect may also happen later, after the caller has abandoned or repeated it.
#[derive(Debug)]
pub struct FaultyEventStore<S> {
    store: Arc<S>,
    faults: FaultInjector,
    delayed: Mutex<Vec<(Vec<AppendUnit>, Vec<Snapshot>)>>,
}

impl<S: EventStore> FaultyEventStore<S> {
    /// Wraps a store.
    #[must_use]
    pub fn new(store: Arc<S>, faults: FaultInjector) -> Self {
        Self { store, faults, delayed: Mutex::default() }
    }

    /// Runs the delayed appends.
    async fn apply_delayed(&self) {
        if self.faults.has_crashed() {
            return;
        }
        let delayed = mem::take(&mut *self.delayed.lock());
        for (units, snapshots) in delayed {
            // No caller waits for the result.
            let _ = self.store.append(&units, &snapshots).await;
        }
    }
}

impl<S: EventStore> EventStore for FaultyEventStore<S> {
    fn partitions(&self) -> Partitions {
        self.store.partitions()
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        if self.faults.random_bool(0.5) {
            self.apply_delayed().await;
        }
        match self.faults.next_outcome() {
            CallOutcome::Done => self.store.append(units, snapshots).await,
            CallOutcome::NotDone => Err(self.faults.not_done("append")),
            CallOutcome::DoneUnreported => {
                self.store.append(units, snapshots).await?;
                Err(self.faults.unknown("append"))
            }
            CallOutcome::NotDoneUnreported => {
                if self.faults.random_bool(0.5) {
                    self.delayed.lock().push((units.to_vec(), snapshots.to_vec()));
                }
                Err(self.faults.unknown("append"))
            }
        }
    }

    async fn take_turn(&self, partitions: &[Partition]) -> PortResult<Turn> {
        self.faults.intercept("take_turn", self.store.take_turn(partitions)).await
    }

    async fn refuse(&self, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
        if self.faults.random_bool(0.5) {
            self.apply_delayed().await;
        }
        self.faults.intercept("refuse", self.store.refuse(refusals)).await
    }

    async fn suspend_appends(&self, reason: &str) -> PortResult<()> {
        self.faults.intercept("suspend_appends", self.store.suspend_appends(reason)).await
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        self.faults.intercept("load", self.store.load(streams, snapshot_format, requests)).await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        self.faults.intercept("read_after", self.store.read_after(cursor_exclusive, limit)).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        let call = self.store.read_partition_after(partition, cursor_exclusive, limit);
        self.faults.intercept("read_partition_after", call).await
    }

    async fn find_event(&self, position: Position) -> PortResult<Option<EventIdentity>> {
        self.faults.intercept("find_event", self.store.find_event(position)).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        let call = self.store.read_stream_after(stream_id, version_exclusive, limit);
        self.faults.intercept("read_stream_after", call).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        // Spurious returns are allowed.
        if !self.faults.injects_anomaly() {
            self.store.wait_for_events(cursor_exclusive, wait_max).await;
        }
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        self.faults.intercept("forget_requests", self.store.forget_requests(recorded_before, limit)).await
    }
}

impl<S: RelayState> RelayState for FaultyEventStore<S> {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        self.faults.intercept("acquire_lease", self.store.acquire_lease(owner, duration)).await
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        self.faults.intercept("move_cursor", self.store.move_cursor(fence, cursor, duration)).await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.faults.intercept("release_lease", self.store.release_lease(fence)).await
    }
}
