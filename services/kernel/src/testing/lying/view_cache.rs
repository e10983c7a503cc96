//! A cache that lies.

use std::{mem, sync::Arc};

use parking_lot::Mutex;

use super::{Fate, Liar};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, Lease, PortResult, ViewCache},
};

/// Any cache behind a liar. It forgets what it was asked for, does only some of what it is told, and fills late.
#[derive(Debug)]
pub struct LyingViewCache<C> {
    cache: Arc<C>,
    liar: Liar,
    late: Mutex<Vec<(ViewId, RowKey, Lease, CachedRow)>>,
}

impl<C: ViewCache> LyingViewCache<C> {
    /// Puts a liar before a cache.
    #[must_use]
    pub fn new(cache: Arc<C>, liar: Liar) -> Self {
        Self { cache, liar, late: Mutex::default() }
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

impl<C: ViewCache> ViewCache for LyingViewCache<C> {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        if !self.liar.has_crashed() && self.liar.toss(0.5) {
            self.deliver_late().await;
        }
        if self.liar.plays_a_trick() {
            self.cache.invalidate(view, &self.liar.some_of(keys)).await?;
        }
        self.liar.around("read", self.cache.read(view, keys)).await
    }

    async fn fill(&self, view: ViewId, key: &RowKey, lease: Lease, row: CachedRow) -> PortResult<bool> {
        match self.liar.fate() {
            Fate::Done => self.cache.fill(view, key, lease, row).await,
            Fate::NotDone => Err(self.liar.not_done("fill")),
            Fate::DoneUnreported => {
                self.cache.fill(view, key, lease, row).await?;
                Err(self.liar.unknown("fill"))
            }
            Fate::NotDoneUnreported => {
                self.late.lock().push((view, key.clone(), lease, row));
                Err(self.liar.unknown("fill"))
            }
        }
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        match self.liar.fate() {
            Fate::Done => self.cache.refresh(view, rows).await,
            Fate::NotDone => Err(self.liar.not_done("refresh")),
            Fate::NotDoneUnreported => Err(self.liar.unknown("refresh")),
            Fate::DoneUnreported => {
                self.cache.refresh(view, &self.liar.some_of(rows)).await?;
                Err(self.liar.unknown("refresh"))
            }
        }
    }

    async fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> PortResult<()> {
        match self.liar.fate() {
            Fate::Done => self.cache.invalidate(view, keys).await,
            Fate::NotDone => Err(self.liar.not_done("invalidate")),
            Fate::NotDoneUnreported => Err(self.liar.unknown("invalidate")),
            Fate::DoneUnreported => {
                self.cache.invalidate(view, &self.liar.some_of(keys)).await?;
                Err(self.liar.unknown("invalidate"))
            }
        }
    }
}
