//! A cache that lies.

use std::{mem, sync::Arc};

use parking_lot::Mutex;

use super::{Fate, FaultInjector};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortResult, ViewCache},
};

/// Any cache behind a liar. It forgets what it was asked for, does only some of what it is told, and fills late.
#[derive(Debug)]
pub struct FaultyViewCache<C> {
    cache: Arc<C>,
    faults: FaultInjector,
    late: Mutex<Vec<(ViewId, RowKey, FillLease, CachedRow)>>,
}

impl<C: ViewCache> FaultyViewCache<C> {
    /// Puts a liar before a cache.
    #[must_use]
    pub fn new(cache: Arc<C>, faults: FaultInjector) -> Self {
        Self { cache, faults, late: Mutex::default() }
    }

    /// Lets the fills happen that were still to happen. Their leases decide whether they count.
    async fn deliver_late(&self) {
        let late = mem::take(&mut *self.late.lock());
        for (view, key, lease, row) in late {
            // Nobody waits for it any more.
            let _ = self.cache.fill(view, &key, lease, row).await;
        }
    }
}

impl<C: ViewCache> ViewCache for FaultyViewCache<C> {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        if !self.faults.has_crashed() && self.faults.toss(0.5) {
            self.deliver_late().await;
        }
        if self.faults.plays_a_trick() {
            self.cache.invalidate(view, &self.faults.some_of(keys)).await?;
        }
        self.faults.around("read", self.cache.read(view, keys)).await
    }

    async fn fill(&self, view: ViewId, key: &RowKey, lease: FillLease, row: CachedRow) -> PortResult<bool> {
        match self.faults.fate() {
            Fate::Done => self.cache.fill(view, key, lease, row).await,
            Fate::NotDone => Err(self.faults.not_done("fill")),
            Fate::DoneUnreported => {
                self.cache.fill(view, key, lease, row).await?;
                Err(self.faults.unknown("fill"))
            }
            Fate::NotDoneUnreported => {
                self.late.lock().push((view, key.clone(), lease, row));
                Err(self.faults.unknown("fill"))
            }
        }
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        match self.faults.fate() {
            Fate::Done => self.cache.refresh(view, rows).await,
            Fate::NotDone => Err(self.faults.not_done("refresh")),
            Fate::NotDoneUnreported => Err(self.faults.unknown("refresh")),
            Fate::DoneUnreported => {
                self.cache.refresh(view, &self.faults.some_of(rows)).await?;
                Err(self.faults.unknown("refresh"))
            }
        }
    }

    async fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> PortResult<()> {
        match self.faults.fate() {
            Fate::Done => self.cache.invalidate(view, keys).await,
            Fate::NotDone => Err(self.faults.not_done("invalidate")),
            Fate::NotDoneUnreported => Err(self.faults.unknown("invalidate")),
            Fate::DoneUnreported => {
                self.cache.invalidate(view, &self.faults.some_of(keys)).await?;
                Err(self.faults.unknown("invalidate"))
            }
        }
    }
}
