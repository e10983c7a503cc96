//! Test environments.

use std::{future::Future, sync::Arc, time::Duration};

use diptych_embedded::{
    EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore, GroupTimeouts, Storage,
};
use diptych_kernel::{
    Clock, Partitions,
    ports::PortResult,
    testing::{self, ManualClock},
};
use tempfile::TempDir;

pub(crate) const PARTITIONS: u16 = 4;

pub(crate) fn partitions() -> Partitions {
    Partitions::new(PARTITIONS).unwrap()
}

/// Fresh storage of one of the adapters.
pub(crate) struct EmbeddedTestEnv<H> {
    clock: Arc<ManualClock>,
    open: Box<dyn Fn(Arc<dyn Clock>) -> Arc<H> + Send + Sync>,
    _directory: Option<TempDir>,
}

impl<H: Send + Sync + 'static> EmbeddedTestEnv<H> {
    /// Opened once, because each call of `open` creates a new database; handles are clones.
    fn in_memory(open: impl Fn(&Storage, Partitions, Arc<dyn Clock>) -> PortResult<H>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let handle = Arc::new(open(&Storage::Memory, partitions(), Arc::clone(&clock) as _).unwrap());
        Self { clock, open: Box::new(move |_| Arc::clone(&handle)), _directory: None }
    }

    /// Opened again for every handle.
    fn in_a_directory(
        open: impl Fn(&Storage, Partitions, Arc<dyn Clock>) -> PortResult<H> + Send + Sync + 'static,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::Directory(directory.path().to_owned());
        let open = move |clock| Arc::new(open(&storage, partitions(), clock).unwrap());
        Self { clock: Arc::new(ManualClock::default()), open: Box::new(open), _directory: Some(directory) }
    }
}

impl EmbeddedTestEnv<EmbeddedEventStore> {
    pub(crate) fn events_in_memory() -> Self {
        Self::in_memory(EmbeddedEventStore::open)
    }

    pub(crate) fn events_in_a_directory() -> Self {
        Self::in_a_directory(EmbeddedEventStore::open)
    }
}

impl EmbeddedTestEnv<EmbeddedEventLog> {
    pub(crate) fn log_in_memory() -> Self {
        Self::in_memory(EmbeddedEventLog::open)
    }

    pub(crate) fn log_in_a_directory() -> Self {
        Self::in_a_directory(EmbeddedEventLog::open)
    }
}

impl EmbeddedTestEnv<EmbeddedViewStore> {
    pub(crate) fn views_in_memory() -> Self {
        Self::in_memory(EmbeddedViewStore::open)
    }

    pub(crate) fn views_in_a_directory() -> Self {
        Self::in_a_directory(EmbeddedViewStore::open)
    }
}

impl EmbeddedTestEnv<EmbeddedViewCache> {
    pub(crate) fn cache() -> Self {
        Self::in_memory(|_, _, _| Ok(EmbeddedViewCache::new(1024 * 1024)))
    }
}

impl<H: Send + Sync + 'static> testing::TestEnv for EmbeddedTestEnv<H> {
    type Handle = H;

    async fn handle(&self) -> Arc<H> {
        (self.open)(Arc::clone(&self.clock) as _)
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(bound, future).await.ok()
    }

    fn session_timeout(&self) -> Duration {
        GroupTimeouts::default().session
    }
}
