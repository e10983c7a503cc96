//! Reading the read database: every try bounded in time, tries bounded in number, reads bounded in number at a time.

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
    error::Trouble,
    metrics::Metrics,
    outage::Outage,
    trace::{read_in, store_read},
};

/// Quick: the caller waits meanwhile.
const RETRY_MIN: Duration = Duration::from_millis(2);
const RETRY_MAX: Duration = Duration::from_millis(50);

/// The read database, as the query path asks it.
pub(crate) struct Store<V> {
    views: Arc<V>,
    reads: Semaphore,
    try_timeout: Duration,
    retries_max: usize,
    /// Of the jitter of retries: another for each read.
    seeds: AtomicU64,
    outage: Outage,
    metrics: Arc<Metrics>,
}

impl<V: ViewStore> Store<V> {
    pub(crate) fn new(views: Arc<V>, config: &QueryConfig, metrics: Arc<Metrics>) -> Self {
        Self {
            views,
            reads: Semaphore::new(config.pending_reads_max.min(Semaphore::MAX_PERMITS)),
            try_timeout: config.store_timeout,
            retries_max: config.store_retries_max,
            seeds: AtomicU64::new(config.jitter_seed),
            outage: Outage::new("the read database"),
            metrics,
        }
    }

    /// The rows of these keys, in order.
    pub(crate) async fn read(&self, view: ViewId, keys: &[RowKey]) -> Result<Vec<Option<Row>>, Trouble> {
        let rows = read_in(store_read(view, keys.len()), self.retried(|| self.views.read(view, keys))).await?;
        if rows.len() != keys.len() {
            error!(%view, asked = keys.len(), answered = rows.len(), "the read database answered another number of rows");
            return Err(Trouble::Internal);
        }
        Ok(rows)
    }

    /// Up to `limit` rows of a group.
    pub(crate) async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> Result<ScanPage, Trouble> {
        let scan = self.retried(|| self.views.scan(view, partition_key, after_exclusive, limit));
        read_in(store_read(view, 1), scan).await
    }

    fn next_seed(&self) -> u64 {
        self.seeds.fetch_add(1, Ordering::Relaxed)
    }

    async fn retried<T, F>(&self, ask: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = PortResult<T>>,
    {
        let Ok(_place) = self.reads.try_acquire() else { return Err(Trouble::Overloaded) };
        let mut backoff = None;
        let mut retries = 0;
        loop {
            let failure = match timeout(self.try_timeout, ask()).await {
                Ok(Ok(answer)) => {
                    self.outage.note_success();
                    return Ok(answer);
                }
                Ok(Err(failure)) => failure,
                Err(_) => PortError::not_done("a read took too long"),
            };
            self.metrics.store_failures.increment(1);
            self.outage.note_failure(&failure);
            if failure.remedy() == Remedy::Operator {
                error!(error = %failure, "the read database needs an operator");
                return Err(Trouble::Internal);
            }
            if retries == self.retries_max {
                return Err(Trouble::Unavailable);
            }
            retries += 1;
            let backoff = backoff.get_or_insert_with(|| Backoff::seeded(RETRY_MIN, RETRY_MAX, self.next_seed()));
            pause(backoff.next_delay()).await;
        }
    }
}
