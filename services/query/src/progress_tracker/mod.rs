//! Progress tracker: the position that each view has reached in each partition, kept by two tasks for all calls of the
//! process.
//!
//! One task loads progress as it is stored, the other polls the cache for progress that projectors announce, which
//! arrives sooner.
//!
//! A call takes a [`ProgressSnapshot`] before it reads rows, and judges by that snapshot alone, as its positions and
//! its parked streams belong together. Progress only grows, so an old snapshot is a lower bound: while progress cannot
//! be loaded, answers stay correct, and calls that need more than the snapshot shows wait.

mod announcements;
mod poller_context;
mod position_waiters;
mod publisher;
mod snapshot;
mod stored_progress;
mod watchers;

use std::{future::Future, sync::Arc};

use diptych_kernel::{
    Partition, Partitions, Position, Timestamp,
    domain::ViewId,
    ports::{ProgressStore, ViewCache},
};
use diptych_runtime::Tasks;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{config::QueryConfig, metrics::QueryMetrics};
use announcements::AnnouncementPoller;
use poller_context::PollerContext;
use position_waiters::PositionWaiters;
use publisher::SnapshotPublisher;
pub(crate) use snapshot::{PartitionProgress, ProgressSnapshot};
use stored_progress::StoredProgressPoller;
use watchers::Watchers;

/// Reading half of the progress tracker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ProgressTracker {
    snapshots: watch::Receiver<Option<Arc<ProgressSnapshot>>>,
    /// The waiting calls of each view and partition, so that progress wakes only the calls that wait for it.
    waiters: Arc<[PositionWaiters]>,
    watchers: Watchers,
    views: Arc<[ViewId]>,
    partitions: Partitions,
}

impl ProgressTracker {
    /// Starts the tasks that track the progress of these views.
    pub(crate) fn start<P: ProgressStore, C: ViewCache>(
        progress: Arc<P>,
        cache: Arc<C>,
        views: Vec<ViewId>,
        partitions: Partitions,
        config: &QueryConfig,
        metrics: Arc<QueryMetrics>,
        tasks: &Tasks,
    ) -> Self {
        let views: Arc<[ViewId]> = views.into();
        let (publisher, snapshots, waiters) = SnapshotPublisher::new(Arc::clone(&views), partitions);
        let watchers = Watchers::new(partitions);
        let context = Arc::new(PollerContext {
            views: Arc::clone(&views),
            publisher: Mutex::new(publisher),
            watchers: watchers.clone(),
            config: config.clone(),
            metrics,
        });
        if !config.store_signals_progress() {
            let poller = AnnouncementPoller::new(cache, Arc::clone(&context));
            spawn(tasks, "query-announcements", poller.run());
        }
        spawn(tasks, "query-progress", StoredProgressPoller::new(progress, context).run());
        Self { snapshots, waiters, watchers, views, partitions }
    }

    /// Returns the newest snapshot; `None` until progress has been loaded for the first time.
    pub(crate) fn snapshot(&self) -> Option<Arc<ProgressSnapshot>> {
        self.snapshots.borrow().clone()
    }

    /// Waits until progress has been loaded for the first time, or the process stops.
    pub(crate) async fn wait_until_loaded(&self) {
        // An error means that the polling tasks have stopped: then there is nothing to wait for.
        let _ = self.snapshots.clone().wait_for(Option::is_some).await;
    }

    /// Returns the index of a view in the tracker; `None` if the view is not tracked.
    pub(crate) fn index_of(&self, view: ViewId) -> Option<usize> {
        self.views.iter().position(|known| *known == view)
    }

    /// Waits until the view has reached the position. Returns false if that will never be seen because the process is
    /// stopping or the view or partition does not exist.
    pub(crate) async fn wait_until_reached(&self, view_index: usize, partition: Partition, position: Position) -> bool {
        let index = snapshot::progress_index(self.partitions, view_index, partition);
        let Some(waiters) = index.and_then(|index| self.waiters.get(index)) else { return false };
        let _guard = self.watchers.register(partition);
        waiters.wait_until_reached(position).await
    }

    /// Waits until a view is complete up to a time in a partition, and returns the position that it has: every event of
    /// the partition that was recorded by that time is at or below it. `None` if that will never be seen because the
    /// process is stopping.
    pub(crate) async fn wait_until_complete(&self, partition: Partition, time: Timestamp) -> Option<Position> {
        let _guard = self.watchers.register(partition);
        let position_of = |snapshot: &Option<Arc<ProgressSnapshot>>| snapshot.as_ref()?.complete_at(partition, time);
        let mut snapshots = self.snapshots.clone();
        let snapshot = snapshots.wait_for(|snapshot| position_of(snapshot).is_some()).await.ok()?;
        position_of(&snapshot)
    }

    /// Returns all partitions.
    pub(crate) fn partitions(&self) -> Partitions {
        self.partitions
    }
}

/// Runs a polling task until the process stops. When both tasks have ended, the publisher is dropped and every wait for
/// progress ends.
fn spawn(tasks: &Tasks, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    let shutdown = tasks.shutdown();
    tasks.spawn(name, async move {
        tokio::select! {
            () = shutdown.begun() => {}
            () = task => {}
        }
    });
}
