//! A store that counts calls, can block appends, and fails on demand.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use diptych_kernel::{
    Partition, RequestId,
    ports::{
        AppendOutcome, AppendUnit, EventStore, Loaded, PortError, PortResult, RefusalOutcome, RefusalUnit, Snapshot,
        StreamLoad, Turn,
    },
    testing::EventStoreWrapper,
};
use parking_lot::Mutex;
use tokio::{sync::watch, task::yield_now};

/// The scripted result of a call.
pub(crate) enum CallScript {
    /// The call is made.
    Succeed,
    /// Another process stores these first, then the call is made.
    AfterOthers(Vec<AppendUnit>),
    /// The call is not made, and fails.
    NotDone,
    /// The call is made, and fails with an unknown outcome.
    DoneButUnknown,
    /// The call is not made, and fails with an unknown outcome.
    NotDoneButUnknown,
    /// The call is not made, and fails with an error that needs an operator.
    Operator,
    /// The call never returns.
    Hangs,
}

pub(crate) struct Probe<S> {
    pub(crate) inner: Arc<S>,
    append_scripts: Mutex<VecDeque<CallScript>>,
    append_default: Mutex<fn() -> CallScript>,
    load_scripts: Mutex<VecDeque<CallScript>>,
    refuse_scripts: Mutex<VecDeque<CallScript>>,
    refuse_default: Mutex<fn() -> CallScript>,
    appends_unblocked: watch::Sender<bool>,
    appends_begun: watch::Sender<usize>,
    loads: AtomicUsize,
    refusals: AtomicUsize,
    turns: AtomicUsize,
    grants_turns: AtomicBool,
    events_loaded: AtomicUsize,
    units_per_append: Mutex<Vec<usize>>,
    snapshots: AtomicUsize,
}

impl<S: EventStore> Probe<S> {
    pub(crate) fn new(inner: Arc<S>) -> Self {
        Self {
            inner,
            append_scripts: Mutex::default(),
            append_default: Mutex::new(|| CallScript::Succeed),
            load_scripts: Mutex::default(),
            refuse_scripts: Mutex::default(),
            refuse_default: Mutex::new(|| CallScript::Succeed),
            appends_unblocked: watch::Sender::new(true),
            appends_begun: watch::Sender::new(0),
            loads: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
            grants_turns: AtomicBool::new(true),
            events_loaded: AtomicUsize::new(0),
            units_per_append: Mutex::default(),
            snapshots: AtomicUsize::new(0),
        }
    }

    pub(crate) fn next_appends(&self, scripts: impl IntoIterator<Item = CallScript>) {
        self.append_scripts.lock().extend(scripts);
    }

    /// Sets the result of every append that is not scripted.
    pub(crate) fn other_appends(&self, script: fn() -> CallScript) {
        *self.append_default.lock() = script;
    }

    pub(crate) fn next_loads(&self, scripts: impl IntoIterator<Item = CallScript>) {
        self.load_scripts.lock().extend(scripts);
    }

    pub(crate) fn next_refusals(&self, scripts: impl IntoIterator<Item = CallScript>) {
        self.refuse_scripts.lock().extend(scripts);
    }

    /// Sets the result of every call that stores refusals and is not scripted.
    pub(crate) fn other_refusals(&self, script: fn() -> CallScript) {
        *self.refuse_default.lock() = script;
    }

    /// Blocks every append until [`Probe::unblock_appends`].
    pub(crate) fn block_appends(&self) {
        self.appends_unblocked.send_replace(false);
    }

    pub(crate) fn unblock_appends(&self) {
        self.appends_unblocked.send_replace(true);
    }

    /// Waits until this many appends have begun in all.
    pub(crate) async fn appends_begun(&self, count: usize) {
        self.appends_begun.subscribe().wait_for(|reached| *reached >= count).await.unwrap();
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

    /// The number of calls that store refusals.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals.load(Relaxed)
    }

    /// The number of turns that were asked for.
    pub(crate) fn turns(&self) -> usize {
        self.turns.load(Relaxed)
    }

    /// Lets every wait for a turn hang, as if another process hung within its turn.
    pub(crate) fn never_grant_turns(&self) {
        self.grants_turns.store(false, Relaxed);
    }

    pub(crate) fn events_loaded(&self) -> usize {
        self.events_loaded.load(Relaxed)
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.snapshots.load(Relaxed)
    }
}

impl<S: EventStore> EventStoreWrapper for Probe<S> {
    type Inner = S;

    fn inner(&self) -> &S {
        &self.inner
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        self.units_per_append.lock().push(units.len());
        self.snapshots.fetch_add(snapshots.len(), Relaxed);
        self.appends_begun.send_modify(|reached| *reached += 1);
        self.appends_unblocked.subscribe().wait_for(|open| *open).await.unwrap();
        // Yields before and after, so that tasks interleave on one thread as on many.
        yield_now().await;
        let next = self.append_scripts.lock().pop_front();
        let script = next.unwrap_or_else(|| (self.append_default.lock())());
        match script {
            CallScript::Succeed => self.inner.append(units, snapshots).await,
            CallScript::AfterOthers(others) => {
                self.inner.append(&others, &[]).await?;
                self.inner.append(units, snapshots).await
            }
            CallScript::NotDone => Err(PortError::not_done("not made")),
            CallScript::DoneButUnknown => {
                self.inner.append(units, snapshots).await?;
                Err(PortError::unknown("made"))
            }
            CallScript::NotDoneButUnknown => Err(PortError::unknown("not made")),
            CallScript::Operator => Err(PortError::operator("the disk is full")),
            CallScript::Hangs => pending().await,
        }
    }

    async fn take_turn(&self, partitions: &[Partition]) -> PortResult<Turn> {
        self.turns.fetch_add(1, Relaxed);
        if !self.grants_turns.load(Relaxed) {
            return pending().await;
        }
        self.inner.take_turn(partitions).await
    }

    async fn refuse(&self, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
        self.refusals.fetch_add(1, Relaxed);
        yield_now().await;
        let next = self.refuse_scripts.lock().pop_front();
        let script = next.unwrap_or_else(|| (self.refuse_default.lock())());
        match script {
            CallScript::Succeed => self.inner.refuse(refusals).await,
            CallScript::AfterOthers(others) => {
                self.inner.append(&others, &[]).await?;
                self.inner.refuse(refusals).await
            }
            CallScript::NotDone => Err(PortError::not_done("not made")),
            CallScript::DoneButUnknown => {
                self.inner.refuse(refusals).await?;
                Err(PortError::unknown("made"))
            }
            CallScript::NotDoneButUnknown => Err(PortError::unknown("not made")),
            CallScript::Operator => Err(PortError::operator("the disk is full")),
            CallScript::Hangs => pending().await,
        }
    }

    async fn load(&self, streams: &[StreamLoad], snapshot_format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        self.loads.fetch_add(1, Relaxed);
        yield_now().await;
        let script = self.load_scripts.lock().pop_front().unwrap_or(CallScript::Succeed);
        let loaded = match script {
            CallScript::Succeed => self.inner.load(streams, snapshot_format, requests).await,
            CallScript::AfterOthers(others) => {
                self.inner.append(&others, &[]).await?;
                self.inner.load(streams, snapshot_format, requests).await
            }
            CallScript::NotDone => Err(PortError::not_done("not made")),
            CallScript::DoneButUnknown | CallScript::NotDoneButUnknown => Err(PortError::unknown("lost")),
            CallScript::Operator => Err(PortError::operator("the disk is full")),
            CallScript::Hangs => pending().await,
        }?;
        self.events_loaded.fetch_add(loaded.streams.iter().map(|slice| slice.events.len()).sum(), Relaxed);
        Ok(loaded)
    }
}
