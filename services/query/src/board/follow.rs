//! The task that keeps the board.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partitions, Position,
    domain::ViewId,
    ports::{PortError, PortResult, ProgressStore, ProgressUpdate},
};
use diptych_runtime::{Backoff, SystemClock, pause};
use tokio::{sync::watch, time::timeout};

use super::snapshot::Snapshot;
use crate::{config::QueryConfig, metrics::Metrics, outage::Outage};

const RETRY_MIN: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// The writing side of the board.
pub(super) struct Publisher {
    views: Arc<[ViewId]>,
    current: Arc<Snapshot>,
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    reached: Vec<watch::Sender<Position>>,
}

type Published = (Publisher, watch::Receiver<Option<Arc<Snapshot>>>, Vec<watch::Receiver<Position>>);

impl Publisher {
    pub(super) fn new(views: Arc<[ViewId]>, partitions: Partitions) -> Published {
        let current = Arc::new(Snapshot::empty(views.len(), partitions));
        let (snapshots, snapshots_read) = watch::channel(None);
        let (reached, reached_read) = current.positions().map(watch::channel).unzip();
        (Self { views, current, snapshots, reached }, snapshots_read, reached_read)
    }

    pub(super) fn publish(&mut self, updates: Vec<ProgressUpdate>) {
        let next = self.current.updated(&self.views, updates);
        if next == *self.current && self.snapshots.borrow().is_some() {
            return;
        }
        self.current = Arc::new(next);
        // The picture first: whoever is woken finds in it what he was woken for.
        self.snapshots.send_replace(Some(Arc::clone(&self.current)));
        for (reached, position) in self.reached.iter().zip(self.current.positions()) {
            reached.send_if_modified(|reached| std::mem::replace(reached, position) != position);
        }
    }
}

/// Loads progress whenever it may have changed.
pub(super) struct Follower<P> {
    progress: Arc<P>,
    publisher: Publisher,
    metrics: Arc<Metrics>,
    outage: Outage,
    patience: Duration,
    load_timeout: Duration,
    backoff: Backoff,
}

impl<P: ProgressStore> Follower<P> {
    pub(super) fn new(progress: Arc<P>, publisher: Publisher, config: &QueryConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            progress,
            publisher,
            metrics,
            outage: Outage::new("loading progress"),
            patience: config.progress_patience,
            load_timeout: config.store_timeout,
            backoff: Backoff::seeded(RETRY_MIN, RETRY_MAX, config.jitter_seed),
        }
    }

    /// Never ends.
    pub(super) async fn follow(mut self) {
        let mut seen = 0;
        loop {
            match self.load().await {
                Ok(updates) => {
                    self.outage.note_success();
                    self.backoff.reset();
                    self.publisher.publish(updates);
                    self.note_ages();
                    self.progress.wait_for_change(&mut seen, self.patience).await;
                }
                Err(error) => {
                    self.metrics.progress_failures.increment(1);
                    self.outage.note_failure(&error);
                    self.note_ages();
                    pause(self.backoff.next_delay()).await;
                }
            }
        }
    }

    async fn load(&self) -> PortResult<Vec<ProgressUpdate>> {
        match timeout(self.load_timeout, self.progress.load(&self.publisher.views)).await {
            Ok(loaded) => loaded,
            Err(_) => Err(PortError::not_done("loading progress took too long")),
        }
    }

    /// Also while nothing changes or nothing can be loaded: that is when ages grow.
    fn note_ages(&self) {
        self.metrics.progress_ages(self.publisher.current.complete_up_to(), SystemClock.now());
    }
}
