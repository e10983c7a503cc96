//! Cached rows: the cache as a decorator over the read database, for reads by key.
//!
//! A row from the read database is answered only after the cache can no longer contradict it (G7):
//!
//! | cache lookup before the read | cache update before the answer |
//! |---|---|
//! | miss, with a lease | fill (1) |
//! | row that is not fresh enough | invalidation, so that the next miss gets a lease (2) |
//! | another reader is filling the key | invalidation, which ends the lease of a reader that crashed (3) |
//! | failure | none: the cache invalidates the key before it is read again |
//! | timeout | invalidation, begun at once |
//!
//! 1. A refused fill means that the key changed meanwhile: the row is read again and the key invalidated.
//! 2. Only after the read, so that an outage of the read database leaves the row cached.
//! 3. Only after a short wait for that reader, and after the read.

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use diptych_kernel::{
    Partition, Position, StreamId,
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortError, PortResult, Row, ViewCache, ViewStore},
};
use diptych_runtime::{pause, trace};
use futures::future::join_all;
use tokio::time::timeout;
use tracing::{Instrument, Span};

use crate::{
    config::QueryConfig,
    error::RowReadError,
    metrics::QueryMetrics,
    outage_log::OutageLog,
    progress_tracker::{PartitionProgress, ProgressTracker},
    retrying_store::RetryingStore,
    single_flight::{JoinWindow, SingleFlight},
    trace::cache_span,
};

/// Pause before each new lookup of a key that another reader is filling, about as long as a read of the read database.
const FILLER_PAUSE: Duration = Duration::from_millis(2);
const FILLER_PAUSES_MAX: usize = 3;

/// Result of looking up a key in the cache.
#[derive(Clone, Debug)]
pub(crate) enum CacheLookup {
    /// The cache has this row.
    Hit(CachedRow),
    /// The cache has no row, and the lease allows this reader to fill the key.
    Miss(FillLease),
    /// The cache has no row, and another reader is filling the key.
    Filling,
    /// The cache request failed.
    Failed,
}

/// A row that the cache does not have, or not fresh enough.
#[derive(Clone, Debug)]
pub(crate) struct MissingRow {
    pub(crate) key: RowKey,
    pub(crate) partition: Partition,
    /// The stream that the row is made of; `None` if it is made of many streams of the partition.
    pub(crate) stream: Option<StreamId>,
    pub(crate) lookup: CacheLookup,
}

/// A row of the read database.
struct StoredRow {
    row: CachedRow,
    /// True if the row is known to be current up to its `current_up_to`. A parked stream makes that unknown, and then
    /// the row must not be cached.
    is_cacheable: bool,
}

/// Failure of a cache request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CacheFailure {
    /// The cache returned an error.
    Failed,
    /// The request was dropped at the timeout.
    TimedOut,
}

/// State of the cache after a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FillOutcome {
    /// The cache has the row, or was unreachable at the lookup.
    Settled,
    /// The key changed since the lease was given, so a newer row than the one read may exist.
    Refused,
    /// The cache may have an older row, or a lease that no reader uses.
    NotFilled,
}

/// Reads rows by key from the read database and keeps the cache in step with them.
pub(crate) struct CachedRows<V, C> {
    store: RetryingStore<V>,
    cache: Arc<C>,
    tracker: ProgressTracker,
    reads: Arc<SingleFlight<(ViewId, RowKey), Result<CachedRow, RowReadError>>>,
    cache_timeout: Duration,
    outage_log: OutageLog,
    metrics: Arc<QueryMetrics>,
}

impl<V: ViewStore, C: ViewCache> CachedRows<V, C> {
    pub(crate) fn new(
        store: RetryingStore<V>,
        cache: Arc<C>,
        tracker: ProgressTracker,
        config: &QueryConfig,
        metrics: Arc<QueryMetrics>,
    ) -> Self {
        Self {
            store,
            cache,
            tracker,
            reads: Arc::default(),
            cache_timeout: config.cache_timeout,
            outage_log: OutageLog::new("cache"),
            metrics,
        }
    }

    /// Returns the read database without the cache.
    pub(crate) fn store(&self) -> &RetryingStore<V> {
        &self.store
    }

    /// Looks up keys in the cache. The results are in the order of `keys`.
    pub(crate) async fn lookup(&self, view: ViewId, keys: &[RowKey]) -> Vec<CacheLookup> {
        match self.request_cache(cache_span("get", view, keys.len()), self.cache.read(view, keys)).await {
            Ok(reads) if reads.len() == keys.len() => reads.into_iter().map(CacheLookup::from).collect(),
            outcome => {
                if outcome == Err(CacheFailure::TimedOut) {
                    // Only begun: the cache completes it before the keys are read again.
                    let _ = timeout(Duration::ZERO, self.cache.invalidate(view, keys)).await;
                }
                vec![CacheLookup::Failed; keys.len()]
            }
        }
    }

    /// Reads rows that the cache does not have. Calls that miss a single row at the same time share its read, until it
    /// asks the cache or the read database.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        view: ViewId,
        view_index: usize,
        missing: Vec<MissingRow>,
    ) -> Result<Vec<CachedRow>, RowReadError> {
        let [single] = missing.as_slice() else { return self.fetch_all(view, view_index, missing, &|| {}).await };
        let id = (view, single.key.clone());
        let has_lease = matches!(single.lookup, CacheLookup::Miss(_));
        let rows = Arc::clone(self);
        // The read belongs to the trace of the query that started it, whichever call polls it.
        let query = trace::current().unwrap_or_else(Span::none);
        let read = |window: JoinWindow<_, _>| async move {
            let read = rows.fetch_all(view, view_index, missing, &|| window.close()).await?;
            read.into_iter().next().ok_or(RowReadError::Internal)
        };
        let shared_read = self.reads.join(id, has_lease, |window| read(window).instrument(query));
        Ok(vec![shared_read.await?])
    }

    /// Calls `before_read` before it asks the cache or the read database: what they answer may be older than what other
    /// calls have returned by the time that the answer arrives.
    async fn fetch_all(
        &self,
        view: ViewId,
        view_index: usize,
        mut missing: Vec<MissingRow>,
        before_read: &(dyn Fn() + Sync),
    ) -> Result<Vec<CachedRow>, RowReadError> {
        let mut filled = self.wait_for_fillers(view, &mut missing, before_read).await;
        let to_read: Vec<_> =
            missing.iter().zip(&filled).filter(|(_, filled)| filled.is_none()).map(|(m, _)| m).collect();
        if !to_read.is_empty() {
            self.metrics.cache_misses.increment(u64::try_from(to_read.len()).unwrap_or(u64::MAX));
            before_read();
            let mut read = self.read_store(view, view_index, &to_read).await?;
            self.update_cache(view, view_index, &to_read, &mut read).await?;
            let mut read = read.into_iter().map(|stored| stored.row);
            for row in filled.iter_mut().filter(|filled| filled.is_none()) {
                *row = read.next();
            }
        }
        filled.into_iter().collect::<Option<Vec<_>>>().ok_or(RowReadError::Internal)
    }

    /// Gives other readers a moment to fill the keys that they hold a lease for. Returns the rows that they filled.
    async fn wait_for_fillers(
        &self,
        view: ViewId,
        missing: &mut [MissingRow],
        before_read: &(dyn Fn() + Sync),
    ) -> Vec<Option<CachedRow>> {
        let mut filled = vec![None; missing.len()];
        let leased: HashSet<_> =
            missing.iter().filter(|m| matches!(m.lookup, CacheLookup::Miss(_))).map(|m| m.key.clone()).collect();
        let is_filling = |m: &MissingRow| matches!(m.lookup, CacheLookup::Filling);
        for duplicate in missing.iter_mut().filter(|m| is_filling(m) && leased.contains(&m.key)) {
            // Requested twice in one call: the reader that fills the key is this call.
            duplicate.lookup = CacheLookup::Failed;
        }
        for _ in 0..FILLER_PAUSES_MAX {
            let mut filling: Vec<_> = missing
                .iter_mut()
                .zip(&mut filled)
                .filter(|(missing, filled)| filled.is_none() && is_filling(missing))
                .collect();
            if filling.is_empty() {
                break;
            }
            pause(FILLER_PAUSE).await;
            before_read();
            let keys: Vec<_> = filling.iter().map(|(missing, _)| missing.key.clone()).collect();
            let lookups = self.lookup(view, &keys).await;
            for ((missing, filled), lookup) in filling.iter_mut().zip(lookups) {
                match lookup {
                    CacheLookup::Hit(row) => **filled = Some(row),
                    other => missing.lookup = other,
                }
            }
        }
        filled
    }

    async fn read_store(
        &self,
        view: ViewId,
        view_index: usize,
        missing: &[&MissingRow],
    ) -> Result<Vec<StoredRow>, RowReadError> {
        // The snapshot before the rows: a row read after the view reached a position is current up to that position.
        let snapshot = self.tracker.snapshot().ok_or(RowReadError::Unavailable)?;
        let keys: Vec<_> = missing.iter().map(|missing| missing.key.clone()).collect();
        let rows = self.store.read(view, &keys).await?;
        let stored = missing.iter().zip(rows).map(|(missing, row)| {
            let progress = snapshot.progress(view_index, missing.partition);
            stored_row(row, progress.filter(|progress| progress.is_complete_for(missing.stream.as_ref())))
        });
        Ok(stored.collect())
    }

    /// Updates the cache after a read, and reads rows again whose fill was refused; see the table at the top of this
    /// file.
    async fn update_cache(
        &self,
        view: ViewId,
        view_index: usize,
        missing: &[&MissingRow],
        read: &mut [StoredRow],
    ) -> Result<(), RowReadError> {
        let outcomes = join_all(missing.iter().zip(&*read).map(|(m, stored)| self.fill(view, m, stored))).await;
        let (mut refused, mut refused_rows, mut to_invalidate) = (Vec::new(), Vec::new(), Vec::new());
        for ((outcome, missing), stored) in outcomes.into_iter().zip(missing).zip(read) {
            if outcome != FillOutcome::Settled {
                to_invalidate.push(missing.key.clone());
            }
            if outcome == FillOutcome::Refused {
                refused.push(*missing);
                refused_rows.push(stored);
            }
        }
        if !refused.is_empty() {
            let reread = self.read_store(view, view_index, &refused).await?;
            for (stored, row) in refused_rows.into_iter().zip(reread) {
                *stored = row;
            }
        }
        self.invalidate(view, &to_invalidate).await;
        Ok(())
    }

    /// Invalidates cached keys and ends their leases. If that fails, the cache keeps what it has; tokens still hold.
    pub(crate) async fn invalidate(&self, view: ViewId, keys: &[RowKey]) {
        if !keys.is_empty() {
            let span = cache_span("delete", view, keys.len());
            let _ = self.request_cache(span, self.cache.invalidate(view, keys)).await;
        }
    }

    async fn fill(&self, view: ViewId, missing: &MissingRow, stored: &StoredRow) -> FillOutcome {
        let lease = match missing.lookup {
            CacheLookup::Failed => return FillOutcome::Settled,
            CacheLookup::Miss(lease) if stored.is_cacheable => lease,
            _ => return FillOutcome::NotFilled,
        };
        let fill = self.cache.fill(view, &missing.key, lease, stored.row.clone());
        match self.request_cache(cache_span("set", view, 1), fill).await {
            Ok(true) => FillOutcome::Settled,
            Ok(false) => FillOutcome::Refused,
            Err(_) => FillOutcome::NotFilled,
        }
    }

    /// Returns the response of a cache request. Counts failures.
    async fn request_cache<T>(
        &self,
        span: Span,
        response: impl Future<Output = PortResult<T>>,
    ) -> Result<T, CacheFailure> {
        let (failure, error) = match timeout(self.cache_timeout, response.instrument(span.clone())).await {
            Ok(Ok(response)) => {
                self.outage_log.record_success();
                return Ok(response);
            }
            Ok(Err(error)) => (CacheFailure::Failed, error),
            Err(_) => (CacheFailure::TimedOut, PortError::unknown("the cache request timed out")),
        };
        trace::fail(&span, "unavailable");
        self.metrics.cache_failures.increment(1);
        self.outage_log.record_failure(&error);
        Err(failure)
    }
}

impl From<CacheRead> for CacheLookup {
    fn from(read: CacheRead) -> Self {
        match read {
            CacheRead::Hit(row) => Self::Hit(row),
            CacheRead::Miss(lease) => Self::Miss(lease),
            CacheRead::Filling => Self::Filling,
        }
    }
}

/// Converts a row of the read database that was read after the view had made this progress.
fn stored_row(row: Option<Row>, progress: Option<&PartitionProgress>) -> StoredRow {
    let Row { position, body } = row.unwrap_or(Row { position: Position::START, body: None });
    let reached = progress.map_or(Position::START, |progress| progress.position);
    let as_of = progress.and_then(|progress| progress.as_of).unwrap_or_default();
    // A row may be ahead of its view's progress: rows are written first.
    let row = CachedRow { position, current_up_to: position.max(reached), as_of, body };
    StoredRow { row, is_cacheable: progress.is_some() }
}
