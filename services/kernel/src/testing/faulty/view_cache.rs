//! View cache with injected faults.

use std::{mem, sync::Arc};

use parking_lot::Mutex;

use super::{CallOutcome, FaultInjector};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortResult, ViewCache},
};

/// Wraps a cache and injects faults: evicts keys before they are read, applies only some of the rows of a call, and
/// fills late.
#[derive(Debug)]
pub struct FaultyViewCache<C> {
    cache: Arc<C>,
    faults: FaultInjector,
    delayed: Mutex<Vec<(ViewId, RowKey, FillLease, CachedRow)>>,
}

impl<C: ViewCache> FaultyViewCache<C> {
    /// Wraps a cache.
    #[must_use]
    pub fn new(cache: Arc<C>, faults: FaultInjector) -> Self {
        Self { cache, faults, delayed: Mutex::default() }
    }

    /// Runs the delayed fills. Their leases decide whether they are accepted.
    async fn apply_delayed(&self) {
        let delayed = mem::take(&mut *self.delayed.lock());
        for (view, key, lease, row) in delayed {
            // No caller waits for the result.
            let _ = self.cache.fill(view, &key, lease, row).await;
        }
    }
}

impl<C: ViewCache> ViewCache for FaultyViewCache<C> {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        if !self.faults.has_crashed() && self.faults.random_bool(0.5) {
            self.apply_delayed().await;
        }
        if self.faults.injects_anomaly() {
            self.cache.invalidate(view, &self.faults.random_subset(keys)).await?;
        }
        self.faults.intercept("read", self.cache.read(view, keys)).await
    }

    async fn fill(&self, view: ViewId, key: &RowKey, lease: FillLease, row: CachedRow) -> PortResult<bool> {
        match self.faults.next_outcome() {
            CallOutcome::Done => self.cache.fill(view, key, lease, row).await,
            CallOutcome::NotDone => Err(self.faults.not_done("fill")),
            CallOutcome::DoneUnreported => {
                self.cache.fill(view, key, lease, row).await?;
                Err(self.faults.unknown("fill"))
            }
            CallOutcome::NotDoneUnreported => {
                self.delayed.lock().push((view, key.clone(), lease, row));
                Err(self.faults.unknown("fill"))
            }
        }
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        match self.faults.next_outcome() {
            CallOutcome::Done => self.cache.refresh(view, rows).await,
            CallOutcome::NotDone => Err(self.faults.not_done("refresh")),
            CallOutcome::NotDoneUnreported => Err(self.faults.unknown("refresh")),
            CallOutcome::DoneUnreported => {
                self.cache.refresh(view, &self.faults.random_subset(rows)).await?;
                Err(self.faults.unknown("refresh"))
            }
        }
    }

    async fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> PortResult<()> {
        match self.faults.next_outcome() {
            CallOutcome::Done => self.cache.invalidate(view, keys).await,
            CallOutcome::NotDone => Err(self.faults.not_done("invalidate")),
            CallOutcome::NotDoneUnreported => Err(self.faults.unknown("invalidate")),
            CallOutcome::DoneUnreported => {
                self.cache.invalidate(view, &self.faults.random_subset(keys)).await?;
                Err(self.faults.unknown("invalidate"))
            }
        }
    }
}
