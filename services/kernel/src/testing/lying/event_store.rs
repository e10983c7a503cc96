//! An event store that lies.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Fate, Liar};
use crate::{
    ports::{
        AppendOutcome, AppendUnit, CursorOutcome, EventStore, Fence, LeaseOutcome, Loaded, PortResult, RelayCursor,
        RelayState, Snapshot, StreamLoad, Tail,
    },
    vocabulary::{Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version},
};

/// Any event store behind a liar; its relay state too, where it has one.
///
/// An append of unknown effect may also happen later, when the caller has given it up or repeated it.
#[derive(Debug)]
pub struct LyingEventStore<S> {
    store: Arc<S>,
    liar: Liar,
    late: Mutex<Vec<(Vec<AppendUnit>, Vec<Snapshot>)>>,
}

impl<S: EventStore> LyingEventStore<S> {
    /// Puts a liar before a store.
    #[must_use]
    pub fn new(store: Arc<S>, liar: Liar) -> Self {
        Self { store, liar, late: Mutex::default() }
    }

    /// Lets happen what was still to happen.
    async fn deliver_late(&self) {
        if self.liar.has_crashed() {
            return;
        }
        let late = mem::take(&mut *self.late.lock());
        for (units, snapshots) in late {
            // Nobody waits for it any more, whatever it is.
            let _ = self.store.append(&units, &snapshots).await;
        }
    }
}

impl<S: EventStore> EventStore for LyingEventStore<S> {
    fn partitions(&self) -> Partitions {
        self.store.partitions()
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        if self.liar.toss(0.5) {
            self.deliver_late().await;
        }
        match self.liar.fate() {
            Fate::Done => self.store.append(units, snapshots).await,
            Fate::NotDone => Err(self.liar.not_done("append")),
            Fate::DoneUnreported => {
                self.store.append(units, snapshots).await?;
                Err(self.liar.unknown("append"))
            }
            Fate::NotDoneUnreported => {
                if self.liar.toss(0.5) {
                    self.late.lock().push((units.to_vec(), snapshots.to_vec()));
                }
                Err(self.liar.unknown("append"))
            }
        }
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        self.liar.around("load", self.store.load(streams, snapshot_format, requests)).await
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<Tail> {
        self.liar.around("read_after", self.store.read_after(cursor_exclusive, limit)).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<Tail> {
        let call = self.store.read_partition_after(partition, cursor_exclusive, limit);
        self.liar.around("read_partition_after", call).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        let call = self.store.read_stream_after(stream_id, version_exclusive, limit);
        self.liar.around("read_stream_after", call).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, patience: Duration) {
        // May return for no reason.
        if !self.liar.plays_a_trick() {
            self.store.wait_for_events(cursor_exclusive, patience).await;
        }
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        self.liar.around("forget_requests", self.store.forget_requests(recorded_before, limit)).await
    }
}

impl<S: RelayState> RelayState for LyingEventStore<S> {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        self.liar.around("acquire_lease", self.store.acquire_lease(owner, duration)).await
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        self.liar.around("move_cursor", self.store.move_cursor(fence, cursor, duration)).await
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        self.liar.around("release_lease", self.store.release_lease(fence)).await
    }
}
