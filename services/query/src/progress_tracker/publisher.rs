//! Writing half of the progress tracker: publishes snapshots and wakes the calls that wait for progress.

use std::sync::Arc;

use diptych_kernel::{Partitions, Position, domain::ViewId, ports::ProgressUpdate};
use tokio::sync::watch;

use super::snapshot::ProgressSnapshot;

/// Publishes a new snapshot for every change of progress.
pub(super) struct SnapshotPublisher {
    views: Arc<[ViewId]>,
    current: Arc<ProgressSnapshot>,
    snapshots: watch::Sender<Option<Arc<ProgressSnapshot>>>,
    positions: Vec<watch::Sender<Position>>,
}

/// A publisher, the receiver of its snapshots, and a receiver of the position of each view and partition.
type PublisherAndReceivers =
    (SnapshotPublisher, watch::Receiver<Option<Arc<ProgressSnapshot>>>, Vec<watch::Receiver<Position>>);

impl SnapshotPublisher {
    pub(super) fn new(views: Arc<[ViewId]>, partitions: Partitions) -> PublisherAndReceivers {
        let current = Arc::new(ProgressSnapshot::empty(views.len(), partitions));
        let (snapshots, snapshot_receiver) = watch::channel(None);
        let (positions, position_receivers) = current.positions().map(watch::channel).unzip();
        (Self { views, current, snapshots, positions }, snapshot_receiver, position_receivers)
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
        // The snapshot before the positions: a call that a position wakes must find that position in the snapshot.
        self.snapshots.send_replace(Some(Arc::clone(&self.current)));
        for (reached, position) in self.positions.iter().zip(self.current.positions()) {
            reached.send_if_modified(|reached| std::mem::replace(reached, position) != position);
        }
    }
}
