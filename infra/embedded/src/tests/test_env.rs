//! Test environments for the suites.

use std::{future::Future, sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partitions,
    ports::PortResult,
    testing::{self, ManualClock},
};
use tempfile::TempDir;

use crate::{
    EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore, GroupTimeouts, Storage,
    database::Signals,
};

pub(super) fn sixteen() -> Partitions {
    Partitions::new(16).unwrap()
}

/// Adapter that a test environment opens.
pub(super) trait EmbeddedAdapter: Send + Sync + Sized + 'static {
    fn open(env: &Storage, clock: Arc<dyn Clock>) -> PortResult<Self>;
}

impl EmbeddedAdapter for EmbeddedEventStore {
    fn open(env: &Storage, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open(env, sixteen(), clock)
    }
}

impl EmbeddedAdapter for EmbeddedEventLog {
    fn open(env: &Storage, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open(env, sixteen(), clock)
    }
}

impl EmbeddedAdapter for EmbeddedViewStore {
    fn open(env: &Storage, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open(env, sixteen(), clock)
    }
}

impl EmbeddedAdapter for EmbeddedViewCache {
    fn open(_: &Storage, _: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self::new(1 << 20))
    }
}

/// Way of opening further handles.
enum Handles<T> {
    /// Share this handle.
    PartitionState(Arc<T>),
    /// Open the directory again.
    Open(TempDir),
    /// Open the directory again as another process would, without shared signals.
    OpenAsOtherProcess(TempDir),
}

/// Fresh storage of one adapter.
pub(super) struct AdapterTestEnv<T> {
    handles: Handles<T>,
    clock: Arc<ManualClock>,
}

impl<T: EmbeddedAdapter> AdapterTestEnv<T> {
    pub(super) fn memory() -> Self {
        let clock = Arc::new(ManualClock::default());
        let first = T::open(&Storage::Memory, Arc::clone(&clock) as _).unwrap();
        Self { handles: Handles::PartitionState(Arc::new(first)), clock }
    }

    pub(super) fn directory() -> Self {
        Self { handles: Handles::Open(tempfile::tempdir().unwrap()), clock: Arc::default() }
    }

    pub(super) fn other_processes() -> Self {
        let handles = Handles::OpenAsOtherProcess(tempfile::tempdir().unwrap());
        Self { handles, clock: Arc::default() }
    }

    fn open(&self, directory: &TempDir) -> Arc<T> {
        let env = Storage::Directory(directory.path().to_owned());
        Arc::new(T::open(&env, Arc::clone(&self.clock) as _).unwrap())
    }
}

impl<T: EmbeddedAdapter> testing::TestEnv for AdapterTestEnv<T> {
    type Handle = T;

    async fn handle(&self) -> Arc<T> {
        match &self.handles {
            Handles::PartitionState(first) => Arc::clone(first),
            Handles::Open(directory) => self.open(directory),
            Handles::OpenAsOtherProcess(directory) => {
                Signals::forget_open_files();
                self.open(directory)
            }
        }
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn timeout<O>(&self, bound: Duration, future: impl Future<Output = O>) -> Option<O> {
        tokio::time::timeout(bound, future).await.ok()
    }

    fn session_timeout(&self) -> Duration {
        GroupTimeouts::default().session
    }
}
