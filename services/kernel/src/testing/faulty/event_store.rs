//! An event store that lies.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Fate, FaultInjector};
use crate::{
    ports::{
        AppendOutcome, AppendUnit, CursorOutcome, EventPage, EventStore, Fence, LeaseOutcome, Loaded, PortResult,
        RelayCursor, RelayState, Snapshot, StreamLoad,
    },
    vocabulary::{Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version},
};

/// Any event store behind a liar; its relay state too, where it has one.
///
/// An append of unknown effect may also happen later, when the caller has given it up or repeated it.
#[derive(Debug)]
pub struct FaultyEventStore<S> {
    store: Arc<S>,
    faults: FaultInjector,
    late: Mutex<Vec<(Vec<AppendUnit>, Vec<Snapshot>)>>,
}

impl<S: EventStore> FaultyEventStore<S> {
    /// Puts a liar before a store.
    #[must_use]
    pub fn new(store: Arc<S>, faults: FaultInjector) -> Self {
        Self { store, faults, late: Mutex::default() }
    }

    /// Lets happen what was still to happen.
    async fn deliver_late(&self) {
        if self.faults.has_crashed() {
            return;
        }
        let late = mem::take(&mut *self.late.lock());
        for (units, snapshots) in late {
            // Nobody waits for it any more, whatever it is.
            let _ = self.store.append(&units, &snapshots).await;
        }
    }
}

impl<S: EventStore> EventStore for FaultyEventStore<S> {
    fn partitions(&self) -> Partitions {
        self.store.partitions()
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        if self.faults.toss(0.5) {
            self.deliver_late().await;
        }
        match self.faults.fate() {
            Fate::Done => self.store.append(units, snapshots).await,
            Fate::NotDone => Err(self.faults.not_done("append")),
            Fate::DoneUnreported => {
                self.store.append(units, snapshots).await?;
                Err(self.faults.unknown("append"))
            }
            Fate::NotDoneUnreported => {
                if self.faults.toss(0.5) {
                    self.late.lock().push((units.to_vec(), snapshots.to_vec()));
                }
                Err(self.faults.unknown("append"))
            }
        }
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        self.faults.around("load", self.store.load(streams, snapshot_format, requests)).await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        self.faults.around("read_after", self.store.read_after(cursor_exclusive, limit)).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        let call = self.store.read_partition_after(partition, cursor_exclusive, limit);
        self.faults.around("read_partition_after", call).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        let call = self.store.read_stream_after(stream_id, version_exclusive, limit);
        self.faults.around("read_stream_after", call).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        // May return for no reason.
        if !self.faults.plays_a_trick() {
            self.store.wait_for_events(cursor_exclusive, wait_max).await;
        }
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        self.faults.around("forget_requests", self.store.forget_requests(recorded_before, limit)).await
    }
}

impl<S: RelayState> RelayState for FaultyEventStore<S> {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        self.faults.around("acquire_lease", self.store.acquire_lease(owner, duration)).await
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        self.faults.around("move_cursor", self.store.move_cursor(fence, cursor, duration)).await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.faults.around("release_lease", self.store.release_lease(fence)).await
    }
}
