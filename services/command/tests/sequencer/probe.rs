//! A store that counts what is asked of it, can be held at the door, and fails on demand.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use diptych_kernel::{
    Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{AppendOutcome, AppendUnit, EventPage, EventStore, Loaded, PortError, PortResult, Snapshot, StreamLoad},
};
use parking_lot::Mutex;
use tokio::{sync::watch, task::yield_now};

/// What becomes of the next call.
pub(crate) enum Fate {
    /// It is made.
    Made,
    /// Others store these first, then it is made.
    AfterOthers(Vec<AppendUnit>),
    /// It is not made.
    NotDone,
    /// It is made, and reported as unknown.
    DoneButUnknown,
    /// It is not made, and reported as unknown.
    NotDoneButUnknown,
    /// A person is needed.
    Operator,
    /// It never answers.
    Hangs,
}

pub(crate) struct Probe<S> {
    pub(crate) inner: Arc<S>,
    append_fates: Mutex<VecDeque<Fate>>,
    append_fate_otherwise: Mutex<fn() -> Fate>,
    load_fates: Mutex<VecDeque<Fate>>,
    door_open: watch::Sender<bool>,
    appends_at_door: watch::Sender<usize>,
    loads: AtomicUsize,
    events_loaded: AtomicUsize,
    units_per_append: Mutex<Vec<usize>>,
    snapshots: AtomicUsize,
}

impl<S: EventStore> Probe<S> {
    pub(crate) fn new(inner: Arc<S>) -> Self {
        Self {
            inner,
            append_fates: Mutex::default(),
            append_fate_otherwise: Mutex::new(|| Fate::Made),
            load_fates: Mutex::default(),
            door_open: watch::Sender::new(true),
            appends_at_door: watch::Sender::new(0),
            loads: AtomicUsize::new(0),
            events_loaded: AtomicUsize::new(0),
            units_per_append: Mutex::default(),
            snapshots: AtomicUsize::new(0),
        }
    }

    pub(crate) fn next_appends(&self, fates: impl IntoIterator<Item = Fate>) {
        self.append_fates.lock().extend(fates);
    }

    /// What becomes of every append after those.
    pub(crate) fn other_appends(&self, fate: fn() -> Fate) {
        *self.append_fate_otherwise.lock() = fate;
    }

    pub(crate) fn next_loads(&self, fates: impl IntoIterator<Item = Fate>) {
        self.load_fates.lock().extend(fates);
    }

    /// Holds every append until the door is opened.
    pub(crate) fn close_door(&self) {
        self.door_open.send_replace(false);
    }

    pub(crate) fn open_door(&self) {
        self.door_open.send_replace(true);
    }

    /// Returns when so many appends have come to the door in all.
    pub(crate) async fn appends_at_door(&self, count: usize) {
        self.appends_at_door.subscribe().wait_for(|reached| *reached >= count).await.unwrap();
    }

    pub(crate) fn appends(&self) -> usize {
        self.units_per_append.lock().len()
    }

    pub(crate) fn units_per_append(&self) -> Vec<usize> {
        self.units_per_append.lock().clone()
    }

    pub(crate) fn loads(&self) -> usize {
        self.loads.load(Relaxed)
    }

    pub(crate) fn events_loaded(&self) -> usize {
        self.events_loaded.load(Relaxed)
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.snapshots.load(Relaxed)
    }
}

impl<S: EventStore> EventStore for Probe<S> {
    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        self.units_per_append.lock().push(units.len());
        self.snapshots.fetch_add(snapshots.len(), Relaxed);
        self.appends_at_door.send_modify(|reached| *reached += 1);
        self.door_open.subscribe().wait_for(|open| *open).await.unwrap();
        // Others get their turn before and after, so that the tests of one thread interleave as those of many.
        yield_now().await;
        let scripted = self.append_fates.lock().pop_front();
        let fate = scripted.unwrap_or_else(|| (self.append_fate_otherwise.lock())());
        match fate {
            Fate::Made => self.inner.append(units, snapshots).await,
            Fate::AfterOthers(others) => {
                self.inner.append(&others, &[]).await?;
                self.inner.append(units, snapshots).await
            }
            Fate::NotDone => Err(PortError::not_done("not made")),
            Fate::DoneButUnknown => {
                self.inner.append(units, snapshots).await?;
                Err(PortError::unknown("made"))
            }
            Fate::NotDoneButUnknown => Err(PortError::unknown("not made")),
            Fate::Operator => Err(PortError::operator("the disk is full")),
            Fate::Hangs => pending().await,
        }
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        self.loads.fetch_add(1, Relaxed);
        yield_now().await;
        let fate = self.load_fates.lock().pop_front().unwrap_or(Fate::Made);
        let loaded = match fate {
            Fate::Made => self.inner.load(streams, snapshot_format, requests).await,
            Fate::AfterOthers(others) => {
                self.inner.append(&others, &[]).await?;
                self.inner.load(streams, snapshot_format, requests).await
            }
            Fate::NotDone => Err(PortError::not_done("not made")),
            Fate::DoneButUnknown | Fate::NotDoneButUnknown => Err(PortError::unknown("lost")),
            Fate::Operator => Err(PortError::operator("the disk is full")),
            Fate::Hangs => pending().await,
        }?;
        self.events_loaded.fetch_add(loaded.streams.iter().map(|slice| slice.events.len()).sum(), Relaxed);
        Ok(loaded)
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        self.inner.read_after(cursor_exclusive, limit).await
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        self.inner.read_partition_after(partition, cursor_exclusive, limit).await
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        self.inner.read_stream_after(stream_id, version_exclusive, limit).await
    }

    async fn wait_for_events(&self, cursor_exclusive: Position, wait_max: Duration) {
        self.inner.wait_for_events(cursor_exclusive, wait_max).await;
    }

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        self.inner.forget_requests(recorded_before, limit).await
    }
}
