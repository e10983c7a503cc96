//! A read database that lies.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Fate, FaultInjector};
use crate::{
    domain::{RowKey, ViewId},
    ports::{PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, ViewStore},
};

/// Any view store behind a liar; its progress too, where it keeps it. A write of unknown effect may have written some of its rows, or
/// may write them later.
#[derive(Debug)]
pub struct FaultyViewStore<V> {
    store: Arc<V>,
    faults: FaultInjector,
    late: Mutex<Vec<RowWrite>>,
}

impl<V: Send + Sync + 'static> FaultyViewStore<V> {
    /// Puts a liar before a store.
    #[must_use]
    pub fn new(store: Arc<V>, faults: FaultInjector) -> Self {
        Self { store, faults, late: Mutex::default() }
    }
}

impl<V: ViewStore> ViewStore for FaultyViewStore<V> {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        self.faults.around("ensure_views", self.store.ensure_views(views)).await
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        if !self.faults.has_crashed() && self.faults.toss(0.5) {
            let late = mem::take(&mut *self.late.lock());
            if !late.is_empty() {
                // Nobody waits for it any more.
                let _ = self.store.write(&late).await;
            }
        }
        match self.faults.fate() {
            Fate::Done => self.store.write(rows).await,
            Fate::NotDone => Err(self.faults.not_done("write")),
            Fate::NotDoneUnreported => {
                self.late.lock().extend(self.faults.some_of(rows));
                Err(self.faults.unknown("write"))
            }
            Fate::DoneUnreported => {
                let done = if self.faults.toss(0.5) { rows.to_vec() } else { self.faults.some_of(rows) };
                if !done.is_empty() {
                    self.store.write(&done).await?;
                }
                Err(self.faults.unknown("write"))
            }
        }
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        self.faults.around("read", self.store.read(view, keys)).await
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        self.faults.around("scan", self.store.scan(view, partition_key, after_exclusive, limit)).await
    }

    async fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        self.faults.around("scan_all", self.store.scan_all(view, after_exclusive, limit)).await
    }
}

impl<V: ProgressStore> ProgressStore for FaultyViewStore<V> {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        match self.faults.fate() {
            Fate::Done => self.store.save(updates).await,
            Fate::NotDone => Err(self.faults.not_done("save")),
            Fate::NotDoneUnreported => Err(self.faults.unknown("save")),
            Fate::DoneUnreported => {
                let done = if self.faults.toss(0.5) { updates.to_vec() } else { self.faults.some_of(updates) };
                if !done.is_empty() {
                    self.store.save(&done).await?;
                }
                Err(self.faults.unknown("save"))
            }
        }
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        self.faults.around("load", self.store.load(views)).await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        // May return for no reason.
        if !self.faults.plays_a_trick() {
            self.store.wait_for_change(seen, wait_max).await;
        }
    }
}
