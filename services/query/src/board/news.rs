//! The task that keeps the board by what projectors tell through the cache.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, PortError, PortResult, ProgressUpdate, ViewCache},
};
use diptych_runtime::{
    Backoff, PROGRESS_ANNOUNCEMENTS, decode_progress_announcement, pause, progress_announcement_key,
};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::{
    follow::{Publisher, RETRY_MAX, RETRY_MIN},
    waiters::Waiters,
};
use crate::{config::QueryConfig, metrics::Metrics, outage::Outage};

/// Looks for news of the partitions that calls wait for, with one look for all of them. While nobody waits, or the cache is away, what is
/// stored has to do.
pub(super) struct NewsListener<C> {
    cache: Arc<C>,
    views: Arc<[ViewId]>,
    publisher: Arc<Mutex<Publisher>>,
    waiters: Waiters,
    wait_max: Duration,
    timeout: Duration,
    metrics: Arc<Metrics>,
    outage: Outage,
    backoff: Backoff,
}

impl<C: ViewCache> NewsListener<C> {
    pub(super) fn new(
        cache: Arc<C>,
        views: Arc<[ViewId]>,
        publisher: Arc<Mutex<Publisher>>,
        waiters: Waiters,
        config: &QueryConfig,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            cache,
            views,
            publisher,
            waiters,
            wait_max: config.announcement_poll_interval,
            timeout: config.cache_timeout,
            metrics,
            outage: Outage::new("news of progress"),
            backoff: Backoff::seeded(RETRY_MIN, RETRY_MAX, config.jitter_seed),
        }
    }

    /// Never ends.
    pub(super) async fn listen(mut self) {
        loop {
            self.waiters.somebody().await;
            match self.look().await {
                Ok(updates) => {
                    self.outage.note_success();
                    self.backoff.reset();
                    self.publisher.lock().take_news(updates);
                    pause(self.wait_max).await;
                }
                Err(error) => {
                    self.metrics.cache_failures.increment(1);
                    self.outage.note_failure(&error);
                    pause(self.backoff.next_delay()).await;
                }
            }
        }
    }

    async fn look(&self) -> PortResult<Vec<ProgressUpdate>> {
        let awaited = self.waiters.awaited();
        let keys: Vec<RowKey> = awaited.iter().copied().map(progress_announcement_key).collect();
        let read = timeout(self.timeout, self.cache.read(PROGRESS_ANNOUNCEMENTS, &keys));
        let read = read.await.unwrap_or_else(|_| Err(PortError::not_done("the cache took too long")))?;
        let news = awaited.into_iter().zip(read).filter_map(|(partition, read)| match read {
            CacheRead::Hit(row) => Some(decode_progress_announcement(&row, partition, &self.views)),
            // Nobody has told anything lately. What a lease would be for comes from the projector only.
            CacheRead::Miss(_) | CacheRead::Filling => None,
        });
        Ok(news.flatten().collect())
    }
}
