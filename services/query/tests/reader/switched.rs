//! The embedded read database and cache with switches for failures and delays.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use diptych_embedded::{EmbeddedViewCache, EmbeddedViewStore};
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{
        CacheRead, CachedRow, FillLease, PortError, PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage,
        TablePosition, TableReader, ViewCache, ViewStore,
    },
};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::{oneshot, watch};

/// A read database that can be down, fail permanently, hold reads back, delay them or signal no saves, and counts
/// reads.
pub(crate) struct SwitchedStore {
    inner: EmbeddedViewStore,
    down: AtomicBool,
    permanently_failing: AtomicBool,
    signals_disabled: AtomicBool,
    failures_left: AtomicUsize,
    reads: AtomicUsize,
    loads: AtomicUsize,
    held: watch::Sender<bool>,
    /// Source of random delays of reads and scans.
    delays: Option<Mutex<SmallRng>>,
}

impl SwitchedStore {
    pub(crate) fn new(inner: EmbeddedViewStore) -> Self {
        Self {
            inner,
            down: AtomicBool::new(false),
            permanently_failing: AtomicBool::new(false),
            signals_disabled: AtomicBool::new(false),
            failures_left: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            loads: AtomicUsize::new(0),
            held: watch::Sender::new(false),
            delays: None,
        }
    }

    /// Creates a read database that takes up to 5 ms between a read and its answer.
    pub(crate) fn slow(inner: EmbeddedViewStore, seed: u64) -> Self {
        Self { delays: Some(Mutex::new(SmallRng::seed_from_u64(seed))), ..Self::new(inner) }
    }

    /// Sets whether everything fails from now on, loads of progress too.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Makes all further reads fail with an error that needs an operator.
    pub(crate) fn fail_permanently(&self) {
        self.permanently_failing.store(true, Ordering::SeqCst);
    }

    /// Stops signals of saves, as if another process saved progress.
    pub(crate) fn disable_signals(&self) {
        self.signals_disabled.store(true, Ordering::SeqCst);
    }

    /// Makes the next `reads` reads fail.
    pub(crate) fn fail_next(&self, reads: usize) {
        self.failures_left.store(reads, Ordering::SeqCst);
    }

    /// Sets whether reads hold back what they have read.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Returns the number of reads by key.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Returns the number of loads of progress.
    pub(crate) fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    fn check(&self) -> PortResult<()> {
        if self.permanently_failing.load(Ordering::SeqCst) {
            return Err(PortError::operator("failing permanently"));
        }
        let left = self.failures_left.load(Ordering::SeqCst);
        self.failures_left.store(left.saturating_sub(1), Ordering::SeqCst);
        if left > 0 || self.down.load(Ordering::SeqCst) {
            return Err(PortError::not_done("down"));
        }
        Ok(())
    }

    async fn hold_back(&self) {
        let delay_ms = self.delays.as_ref().map_or(0, |delays| delays.lock().random_range(0..6));
        if delay_ms > 0 {
            diptych_runtime::pause(Duration::from_millis(delay_ms)).await;
        }
        let _ = self.held.subscribe().wait_for(|held| !held).await;
    }
}

impl ViewStore for SwitchedStore {
    fn ensure_views(&self, views: &[ViewId]) -> impl Future<Output = PortResult<()>> + Send {
        self.inner.ensure_views(views)
    }

    fn write(&self, rows: &[RowWrite]) -> impl Future<Output = PortResult<()>> + Send {
        self.inner.write(rows)
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        let rows = self.inner.read(view, keys).await;
        self.hold_back().await;
        rows
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        self.check()?;
        let page = self.inner.scan(view, partition_key, after_exclusive, limit).await;
        self.hold_back().await;
        page
    }

    fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> impl Future<Output = PortResult<Vec<(RowKey, Row)>>> + Send {
        self.inner.scan_all(view, after_exclusive, limit)
    }
}

impl ProgressStore for SwitchedStore {
    fn save(&self, updates: &[ProgressUpdate]) -> impl Future<Output = PortResult<()>> + Send {
        self.inner.save(updates)
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(PortError::not_done("down"));
        }
        self.inner.load(views).await
    }

    async fn table_positions(&self) -> PortResult<Vec<TablePosition>> {
        self.inner.table_positions().await
    }

    async fn add_reader(&self, instance: &str, views: &[ViewId], time_to_live: Duration) -> PortResult<()> {
        self.inner.add_reader(instance, views, time_to_live).await
    }

    async fn remove_reader(&self, instance: &str, views: &[ViewId]) -> PortResult<()> {
        self.inner.remove_reader(instance, views).await
    }

    async fn readers(&self) -> PortResult<Vec<TableReader>> {
        self.inner.readers().await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        if self.signals_disabled.load(Ordering::SeqCst) {
            diptych_runtime::pause(wait_max).await;
        } else {
            self.inner.wait_for_change(seen, wait_max).await;
        }
    }
}

/// A cache that can be down or hang, and whose answers can be held back.
pub(crate) struct SwitchedCache {
    inner: Arc<EmbeddedViewCache>,
    down: AtomicBool,
    held: watch::Sender<bool>,
    /// Resolves when the answer to the next read may be returned.
    next_answer: Mutex<Option<oneshot::Receiver<()>>>,
    invalidated: Mutex<Vec<RowKey>>,
}

impl SwitchedCache {
    pub(crate) fn new(inner: Arc<EmbeddedViewCache>) -> Self {
        Self {
            inner,
            down: AtomicBool::new(false),
            held: watch::Sender::new(false),
            next_answer: Mutex::default(),
            invalidated: Mutex::default(),
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Sets whether requests hang.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Returns the keys for which an invalidation was begun, in order.
    pub(crate) fn invalidated(&self) -> Vec<RowKey> {
        self.invalidated.lock().clone()
    }

    /// Holds back the answer to the next read until the sender is used or dropped.
    pub(crate) fn hold_next_answer(&self) -> oneshot::Sender<()> {
        let (release, released) = oneshot::channel();
        *self.next_answer.lock() = Some(released);
        release
    }

    async fn check(&self) -> PortResult<()> {
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        if self.down.load(Ordering::SeqCst) { Err(PortError::not_done("down")) } else { Ok(()) }
    }
}

impl ViewCache for SwitchedCache {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        self.check().await?;
        let released = self.next_answer.lock().take();
        let answer = self.inner.read(view, keys).await;
        if let Some(released) = released {
            let _ = released.await;
        }
        answer
    }

    async fn fill(&self, view: ViewId, key: &RowKey, lease: FillLease, row: CachedRow) -> PortResult<bool> {
        self.check().await?;
        self.inner.fill(view, key, lease, row).await
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        self.check().await?;
        self.inner.refresh(view, rows).await
    }

    async fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> PortResult<()> {
        self.invalidated.lock().extend_from_slice(keys);
        self.check().await?;
        self.inner.invalidate(view, keys).await
    }
}
