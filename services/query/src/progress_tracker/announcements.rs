//! Polling task for progress that projectors announce through the cache.

use std::sync::Arc;

use diptych_kernel::{
    domain::{RowKey, view_set_name},
    ports::{CacheRead, PortError, PortResult, ProgressUpdate, ViewCache},
};
use diptych_runtime::{
    Backoff, PROGRESS_ANNOUNCEMENTS, decode_progress_announcement, pause, progress_announcement_key,
};
use tokio::time::timeout;

use super::poller_context::PollerContext;
use crate::outage_log::OutageLog;

/// Polls the cache for announced progress of the partitions that calls wait for, with one request for all of them.
/// While no call waits, or the cache is unreachable, only stored progress is used.
pub(super) struct AnnouncementPoller<C> {
    cache: Arc<C>,
    context: Arc<PollerContext>,
    /// The name of the set of views whose projectors' announcements are polled.
    view_set_name: String,
    outage_log: OutageLog,
    backoff: Backoff,
}

impl<C: ViewCache> AnnouncementPoller<C> {
    pub(super) fn new(cache: Arc<C>, context: Arc<PollerContext>) -> Self {
        let (outage_log, backoff) = (OutageLog::new("progress announcements in the cache"), context.backoff());
        let view_set_name = view_set_name(&context.views);
        Self { cache, context, view_set_name, outage_log, backoff }
    }

    /// Polls forever.
    pub(super) async fn run(mut self) {
        loop {
            self.context.watchers.wait_for_any().await;
            match self.poll().await {
                Ok(updates) => {
                    self.outage_log.record_success();
                    self.backoff.reset();
                    self.context.publisher.lock().apply_announced(updates);
                    pause(self.context.config.announcement_poll_interval).await;
                }
                Err(error) => {
                    self.context.metrics.cache_failures.increment(1);
                    self.outage_log.record_failure(&error);
                    pause(self.backoff.next_delay()).await;
                }
            }
        }
    }

    async fn poll(&self) -> PortResult<Vec<ProgressUpdate>> {
        let watched = self.context.watchers.watched_partitions();
        let keys: Vec<RowKey> =
            watched.iter().map(|partition| progress_announcement_key(*partition, &self.view_set_name)).collect();
        let read = timeout(self.context.config.cache_timeout, self.cache.read(PROGRESS_ANNOUNCEMENTS, &keys));
        let read = read.await.unwrap_or_else(|_| Err(PortError::not_done("the cache request timed out")))?;
        let announced = watched.into_iter().zip(read).filter_map(|(partition, read)| match read {
            CacheRead::Hit(row) => Some(decode_progress_announcement(&row, partition, &self.context.views)),
            // No recent announcement. Only projectors write these keys, so the lease is not used.
            CacheRead::Miss(_) | CacheRead::Filling => None,
        });
        Ok(announced.flatten().collect())
    }
}
