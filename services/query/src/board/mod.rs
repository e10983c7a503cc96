//! The board: how far each view has got in each partition, as two tasks keep it for all calls of the process: one by what is stored, and one by
//! what projectors tell through the cache, which is sooner.
//!
//! A call takes a [`Snapshot`] before it reads rows, and judges by that alone: the progress in it and the parked streams in it belong
//! together. Progress only grows, so an old snapshot is a lower bound: while progress cannot be loaded, answers stay right, and calls that
//! need more than the snapshot shows wait.

mod follow;
mod news;
mod snapshot;
mod waiters;

use std::sync::Arc;

use diptych_kernel::{
    Partition, Partitions, Position,
    domain::ViewId,
    ports::{ProgressStore, ViewCache},
};
use diptych_runtime::Tasks;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{config::QueryConfig, metrics::Metrics};
use follow::{Follower, Publisher};
use news::NewsListener;
pub(crate) use snapshot::{Slot, Snapshot};
use waiters::Waiters;

/// The readers' side of the board. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ProgressBoard {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    /// One for each view and partition, so that progress wakes only those who wait for it.
    reached: Arc<[watch::Receiver<Position>]>,
    waiters: Waiters,
    views: Arc<[ViewId]>,
    partitions: Partitions,
}

impl ProgressBoard {
    /// Starts the tasks that follow the progress of these views.
    pub(crate) fn start<P: ProgressStore, C: ViewCache>(
        progress: Arc<P>,
        cache: Arc<C>,
        views: Vec<ViewId>,
        partitions: Partitions,
        config: &QueryConfig,
        metrics: Arc<Metrics>,
        tasks: &Tasks,
    ) -> Self {
        let views: Arc<[ViewId]> = views.into();
        let (publisher, snapshots, reached) = Publisher::new(Arc::clone(&views), partitions);
        let (publisher, waiters) = (Arc::new(Mutex::new(publisher)), Waiters::new(partitions));
        if !config.store_signals_progress() {
            let (views, publisher) = (Arc::clone(&views), Arc::clone(&publisher));
            let news = NewsListener::new(cache, views, publisher, waiters.clone(), config, Arc::clone(&metrics));
            spawn(tasks, "query-news", news.listen());
        }
        let follower = Follower::new(progress, Arc::clone(&views), publisher, waiters.clone(), config, metrics);
        spawn(tasks, "query-progress", follower.follow());
        Self { snapshots, reached: reached.into(), waiters, views, partitions }
    }

    /// The newest picture; `None` until progress was loaded for the first time.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshots.borrow().clone()
    }

    /// Returns when progress was loaded for the first time, or will never be.
    pub(crate) async fn loaded(&self) {
        // An error says that the follower has stopped: then there is nothing to wait for.
        let _ = self.snapshots.clone().wait_for(Option::is_some).await;
    }

    /// The number of a view on the board.
    pub(crate) fn number_of(&self, view: ViewId) -> Option<usize> {
        self.views.iter().position(|known| *known == view)
    }

    /// Returns true when the view has reached the position, false when that will never be seen here because the process is stopping.
    pub(crate) async fn reached(&self, view: usize, partition: Partition, position: Position) -> bool {
        let Some(place) = snapshot::place(self.partitions, view, partition) else { return false };
        let Some(reached) = self.reached.get(place) else { return false };
        let _waiting = self.waiters.enter(partition);
        reached.clone().wait_for(|reached| *reached >= position).await.is_ok()
    }

    /// All partitions.
    pub(crate) fn partitions(&self) -> Partitions {
        self.partitions
    }
}

/// Runs a task that keeps the board until the process stops. When both have ended, the senders are gone, and whoever waits for progress stops
/// waiting.
fn spawn(tasks: &Tasks, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    let shutdown = tasks.shutdown();
    tasks.spawn(name, async move {
        tokio::select! {
            () = shutdown.begun() => {}
            () = task => {}
        }
    });
}
