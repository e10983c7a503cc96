//! Storages for the suites.

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

/// Something that a place has handles to.
pub(super) trait Part: Send + Sync + Sized + 'static {
    fn open(place: &Storage, clock: Arc<dyn Clock>) -> PortResult<Self>;
}

impl Part for EmbeddedEventStore {
    fn open(place: &Storage, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open(place, sixteen(), clock)
    }
}

impl Part for EmbeddedEventLog {
    fn open(place: &Storage, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open(place, sixteen(), clock)
    }
}

impl Part for EmbeddedViewStore {
    fn open(place: &Storage, _: Arc<dyn Clock>) -> PortResult<Self> {
        Self::open(place, sixteen())
    }
}

impl Part for EmbeddedViewCache {
    fn open(_: &Storage, _: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self::new(1 << 20))
    }
}

/// How a further handle comes about.
enum Handles<T> {
    /// It is this one, once more.
    Share(Arc<T>),
    /// By opening the folder again.
    Open(TempDir),
    /// By opening the folder again as another process would, without being told of what the others do.
    OpenAsStranger(TempDir),
}

/// A fresh place of one part.
pub(super) struct Site<T> {
    handles: Handles<T>,
    clock: Arc<ManualClock>,
}

impl<T: Part> Site<T> {
    pub(super) fn memory() -> Self {
        let clock = Arc::new(ManualClock::default());
        let first = T::open(&Storage::Memory, Arc::clone(&clock) as _).unwrap();
        Self { handles: Handles::Share(Arc::new(first)), clock }
    }

    pub(super) fn directory() -> Self {
        Self { handles: Handles::Open(tempfile::tempdir().unwrap()), clock: Arc::default() }
    }

    pub(super) fn strangers() -> Self {
        let handles = Handles::OpenAsStranger(tempfile::tempdir().unwrap());
        Self { handles, clock: Arc::default() }
    }

    fn open(&self, folder: &TempDir) -> Arc<T> {
        let place = Storage::Directory(folder.path().to_owned());
        Arc::new(T::open(&place, Arc::clone(&self.clock) as _).unwrap())
    }
}

impl<T: Part> testing::TestEnv for Site<T> {
    type Handle = T;

    async fn handle(&self) -> Arc<T> {
        match &self.handles {
            Handles::Share(first) => Arc::clone(first),
            Handles::Open(folder) => self.open(folder),
            Handles::OpenAsStranger(folder) => {
                Signals::forget_open_files();
                self.open(folder)
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
