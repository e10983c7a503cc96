//! Polling task for stored progress.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock,
    ports::{PortError, PortResult, ProgressStore, ProgressUpdate},
};
use diptych_runtime::{Backoff, SystemClock, pause};
use tokio::time::{Instant, timeout};

use super::poller_context::PollerContext;
use crate::outage_log::OutageLog;

/// Shortest interval between updates of the age metrics: there is one for each view and partition, and progress may
/// change a thousand times a second.
const AGE_METRICS_INTERVAL: Duration = Duration::from_millis(250);

/// Loads progress whenever it may have changed: at a signal of the store, and periodically, as a store in another
/// process sends no signals. While calls wait for progress the interval is shorter, with one load for all of them.
pub(super) struct StoredProgressPoller<P> {
    progress: Arc<P>,
    context: Arc<PollerContext>,
    poll_interval: Duration,
    /// The interval while calls wait; `None` if the store signals every change.
    poll_interval_while_waiting: Option<Duration>,
    outage_log: OutageLog,
    backoff: Backoff,
    ages_reported_at: Option<Instant>,
}

impl<P: ProgressStore> StoredProgressPoller<P> {
    pub(super) fn new(progress: Arc<P>, context: Arc<PollerContext>) -> Self {
        let config = &context.config;
        Self {
            poll_interval: config.progress_poll_interval,
            poll_interval_while_waiting: (!config.store_signals_progress())
                .then_some(config.progress_poll_interval_while_waiting),
            outage_log: OutageLog::new("progress store"),
            backoff: context.backoff(),
            ages_reported_at: None,
            progress,
            context,
        }
    }

    /// Polls forever.
    pub(super) async fn run(mut self) {
        let mut seen = 0;
        loop {
            match self.load().await {
                Ok(updates) => {
                    self.outage_log.record_success();
                    self.backoff.reset();
                    self.context.publisher.lock().apply_stored(updates);
                    self.report_ages();
                    self.wait_for_next_poll(&mut seen).await;
                }
                Err(error) => {
                    self.context.metrics.progress_failures.increment(1);
                    self.outage_log.record_failure(&error);
                    self.report_ages();
                    pause(self.backoff.next_delay()).await;
                }
            }
        }
    }

    async fn wait_for_next_poll(&self, seen: &mut u64) {
        let change = |seen, wait_max| self.progress.wait_for_change(seen, wait_max);
        let watchers = &self.context.watchers;
        match self.poll_interval_while_waiting {
            None => change(seen, self.poll_interval).await,
            Some(interval) if !watchers.is_empty() => change(seen, interval).await,
            Some(_) => tokio::select! {
                () = change(seen, self.poll_interval) => {}
                // The progress that the first waiting call needs may have been saved since the last load.
                () = watchers.wait_for_any() => {}
            },
        }
    }

    async fn load(&self) -> PortResult<Vec<ProgressUpdate>> {
        match timeout(self.context.config.store_timeout, self.progress.load(&self.context.views)).await {
            Ok(loaded) => loaded,
            Err(_) => Err(PortError::not_done("loading progress timed out")),
        }
    }

    /// Updates the age metrics, also while nothing changes or loads fail: that is when ages grow.
    fn report_ages(&mut self) {
        if self.ages_reported_at.is_some_and(|at| at.elapsed() < AGE_METRICS_INTERVAL) {
            return;
        }
        self.ages_reported_at = Some(Instant::now());
        let current = self.context.publisher.lock().current();
        self.context.metrics.set_progress_ages(current.complete_up_to(), SystemClock.now());
    }
}
