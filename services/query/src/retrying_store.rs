//! Reads of the read database with a timeout per attempt, bounded retries, and a limit on concurrent reads.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{PortError, PortResult, Remedy, Row, ScanPage, ViewStore},
};
use diptych_runtime::{Backoff, pause};
use tokio::{sync::Semaphore, time::timeout};
use tracing::error;

use crate::{
    config::QueryConfig,
    error::RowReadError,
    metrics::QueryMetrics,
    outage_log::OutageLog,
    trace::{read_in, store_span},
};

/// Short, as the caller waits meanwhile.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(2);
const RETRY_DELAY_MAX: Duration = Duration::from_millis(50);

/// The read database with retries and limits.
pub(crate) struct RetryingStore<V> {
    views: Arc<V>,
    permits: Semaphore,
    attempt_timeout: Duration,
    retries_max: usize,
    /// Seed of the retry jitter of the next read.
    next_seed: AtomicU64,
    outage_log: OutageLog,
    metrics: Arc<QueryMetrics>,
}

impl<V: ViewStore> RetryingStore<V> {
    pub(crate) fn new(views: Arc<V>, config: &QueryConfig, metrics: Arc<QueryMetrics>) -> Self {
        Self {
            views,
            permits: Semaphore::new(config.pending_reads_max.min(Semaphore::MAX_PERMITS)),
            attempt_timeout: config.store_timeout,
            retries_max: config.store_retries_max,
            next_seed: AtomicU64::new(config.jitter_seed),
            outage_log: OutageLog::new("read database"),
            metrics,
        }
    }

    /// Returns the rows of these keys, in order.
    pub(crate) async fn read(&self, view: ViewId, keys: &[RowKey]) -> Result<Vec<Option<Row>>, RowReadError> {
        let rows = read_in(store_span(view, keys.len()), self.with_retries(|| self.views.read(view, keys))).await?;
        if rows.len() != keys.len() {
            let (requested, returned) = (keys.len(), rows.len());
            error!(%view, requested, returned, "the read database returned the wrong number of rows");
            return Err(RowReadError::Internal);
        }
        Ok(rows)
    }

    /// Returns up to `limit` rows of a group.
    pub(crate) async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> Result<ScanPage, RowReadError> {
        let scan = self.with_retries(|| self.views.scan(view, partition_key, after_exclusive, limit));
        read_in(store_span(view, 1), scan).await
    }

    async fn with_retries<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, RowReadError>
    where
        F: Future<Output = PortResult<T>>,
    {
        let Ok(_permit) = self.permits.try_acquire() else { return Err(RowReadError::Overloaded) };
        let mut backoff = None;
        let mut retries = 0;
        loop {
            let error = match timeout(self.attempt_timeout, attempt()).await {
                Ok(Ok(value)) => {
                    self.outage_log.record_success();
                    return Ok(value);
                }
                Ok(Err(error)) => error,
                Err(_) => PortError::not_done("a read timed out"),
            };
            self.metrics.store_failures.increment(1);
            self.outage_log.record_failure(&error);
            if error.remedy() == Remedy::Operator {
                error!(%error, "the read database needs an operator");
                return Err(RowReadError::Internal);
            }
            if retries == self.retries_max {
                return Err(RowReadError::Unavailable);
            }
            retries += 1;
            let backoff = backoff.get_or_insert_with(|| {
                let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
                Backoff::seeded(RETRY_DELAY_MIN, RETRY_DELAY_MAX, seed)
            });
            pause(backoff.next_delay()).await;
        }
    }
}
