//! Writing half of the progress tracker: publishes snapshots and wakes the calls that wait for progress.

use std::sync::Arc;

use diptych_kernel::{Partitions, domain::ViewId, ports::ProgressUpdate};
use tokio::sync::watch;

use super::{position_waiters::PositionWaiters, snapshot::ProgressSnapshot};

/// Publishes a new snapshot for every change of progress.
pub(super) struct SnapshotPublisher {
    views: Arc<[ViewId]>,
    current: Arc<ProgressSnapshot>,
    snapshots: watch::Sender<Option<Arc<ProgressSnapshot>>>,
    /// Ordered by view, then partition.
    waiters: Arc<[PositionWaiters]>,
}

/// A publisher, the receiver of its snapshots, and the calls that wait for each view and partition.
type PublisherAndReceivers =
    (SnapshotPublisher, watch::Receiver<Option<Arc<ProgressSnapshot>>>, Arc<[PositionWaiters]>);

impl SnapshotPublisher {
    pub(super) fn new(views: Arc<[ViewId]>, partitions: Partitions) -> PublisherAndReceivers {
        let current = Arc::new(ProgressSnapshot::empty(views.len(), partitions));
        let (snapshots, snapshot_receiver) = watch::channel(None);
        let waiters: Arc<[PositionWaiters]> = current.positions().map(|_| PositionWaiters::default()).collect();
        (Self { views, current, snapshots, waiters: Arc::clone(&waiters) }, snapshot_receiver, waiters)
    }

    /// Applies progress that was loaded from the store.
    pub(super) fn apply_stored(&mut self, updates: Vec<ProgressUpdate>) {
        let next = self.current.with_stored(&self.views, updates);
        if next != *self.current || self.snapshots.borrow().is_none() {
            self.publish(next);
        }
    }

    /// Applies progress that was announced through the cache.
    pub(super) fn apply_announced(&mut self, updates: Vec<ProgressUpdate>) {
        if let Some(next) = self.current.with_announced(&self.views, updates) {
            self.publish(next);
        }
    }

    /// Returns the newest snapshot, published or still empty.
    pub(super) fn current(&self) -> Arc<ProgressSnapshot> {
        Arc::clone(&self.current)
    }

    fn publish(&mut self, next: ProgressSnapshot) {
        self.current = Arc::new(next);
        // The snapshot first: a call that is woken at a position must find that position in the snapshot.
        self.snapshots.send_replace(Some(Arc::clone(&self.current)));
        for (waiters, position) in self.waiters.iter().zip(self.current.positions()) {
            waiters.reach(position);
        }
    }
}

impl Drop for SnapshotPublisher {
    fn drop(&mut self) {
        self.waiters.iter().for_each(PositionWaiters::close);
    }
}
