//! The task that keeps the board by what is stored.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partitions, Position,
    domain::ViewId,
    ports::{PortError, PortResult, ProgressStore, ProgressUpdate},
};
use diptych_runtime::{Backoff, SystemClock, pause};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{snapshot::Snapshot, waiters::Waiters};
use crate::{config::QueryConfig, metrics::Metrics, outage::Outage};

pub(super) const RETRY_MIN: Duration = Duration::from_millis(10);
pub(super) const RETRY_MAX: Duration = Duration::from_secs(1);
/// How often ages are shown, at most: there is one for each view and partition, and progress may move a thousand times a second.
const AGES_INTERVAL: Duration = Duration::from_millis(250);

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

    /// Takes in what is stored.
    pub(super) fn take_stored(&mut self, updates: Vec<ProgressUpdate>) {
        let next = self.current.with_stored(&self.views, updates);
        if next != *self.current || self.snapshots.borrow().is_none() {
            self.publish(next);
        }
    }

    /// Takes in what is told.
    pub(super) fn take_news(&mut self, updates: Vec<ProgressUpdate>) {
        if let Some(next) = self.current.with_news(&self.views, updates) {
            self.publish(next);
        }
    }

    fn publish(&mut self, next: Snapshot) {
        self.current = Arc::new(next);
        // The picture first: whoever is woken finds in it what he was woken for.
        self.snapshots.send_replace(Some(Arc::clone(&self.current)));
        for (reached, position) in self.reached.iter().zip(self.current.positions()) {
            reached.send_if_modified(|reached| std::mem::replace(reached, position) != position);
        }
    }
}

/// Loads progress whenever it may have changed: when the store says so, and now and then by itself, as a store in another process cannot say
/// so. While calls wait for progress it looks more often, with one load for all of them.
pub(super) struct Follower<P> {
    progress: Arc<P>,
    views: Arc<[ViewId]>,
    publisher: Arc<Mutex<Publisher>>,
    waiters: Waiters,
    metrics: Arc<Metrics>,
    outage: Outage,
    wait_max: Duration,
    /// The patience while somebody waits; `None` where the store tells of every change.
    patience_waiting: Option<Duration>,
    load_timeout: Duration,
    backoff: Backoff,
    ages_noted_at: Option<Instant>,
}

impl<P: ProgressStore> Follower<P> {
    pub(super) fn new(
        progress: Arc<P>,
        views: Arc<[ViewId]>,
        publisher: Arc<Mutex<Publisher>>,
        waiters: Waiters,
        config: &QueryConfig,
        metrics: Arc<Metrics>,
    ) -> Self {
        let wait_max = config.progress_wait_max;
        Self {
            progress,
            views,
            publisher,
            waiters,
            metrics,
            outage: Outage::new("loading progress"),
            wait_max,
            patience_waiting: (!config.store_signals_progress()).then_some(config.progress_wait_max_while_calls_wait),
            load_timeout: config.store_timeout,
            backoff: Backoff::seeded(RETRY_MIN, RETRY_MAX, config.jitter_seed),
            ages_noted_at: None,
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
                    self.publisher.lock().take_stored(updates);
                    self.note_ages();
                    self.rest(&mut seen).await;
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

    /// Returns when it is time to look again.
    async fn rest(&self, seen: &mut u64) {
        let change = |seen, wait_max| self.progress.wait_for_change(seen, wait_max);
        match self.patience_waiting {
            None => change(seen, self.wait_max).await,
            Some(wait_max) if !self.waiters.is_empty() => change(seen, wait_max).await,
            Some(_) => tokio::select! {
                () = change(seen, self.wait_max) => {}
                // What the first to come waits for may have been saved since progress was loaded last.
                () = self.waiters.somebody() => {}
            },
        }
    }

    async fn load(&self) -> PortResult<Vec<ProgressUpdate>> {
        match timeout(self.load_timeout, self.progress.load(&self.views)).await {
            Ok(loaded) => loaded,
            Err(_) => Err(PortError::not_done("loading progress took too long")),
        }
    }

    /// Also while nothing changes or nothing can be loaded: that is when ages grow.
    fn note_ages(&mut self) {
        if self.ages_noted_at.is_some_and(|at| at.elapsed() < AGES_INTERVAL) {
            return;
        }
        self.ages_noted_at = Some(Instant::now());
        let current = Arc::clone(&self.publisher.lock().current);
        self.metrics.progress_ages(current.complete_up_to(), SystemClock.now());
    }
}
