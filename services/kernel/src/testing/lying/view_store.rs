//! A read database that lies.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Fate, Liar};
use crate::{
    domain::{RowKey, ViewId},
    ports::{PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, ViewStore},
};

/// Any view store behind a liar; its progress too, where it keeps it. A write of unknown effect may have written some of its rows, or
/// may write them later.
#[derive(Debug)]
pub struct LyingViewStore<V> {
    store: Arc<V>,
    liar: Liar,
    late: Mutex<Vec<RowWrite>>,
}

impl<V: Send + Sync + 'static> LyingViewStore<V> {
    /// Puts a liar before a store.
    #[must_use]
    pub fn new(store: Arc<V>, liar: Liar) -> Self {
        Self { store, liar, late: Mutex::default() }
    }
}

impl<V: ViewStore> ViewStore for LyingViewStore<V> {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        self.liar.around("ensure_views", self.store.ensure_views(views)).await
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        if !self.liar.has_crashed() && self.liar.toss(0.5) {
            let late = mem::take(&mut *self.late.lock());
            if !late.is_empty() {
                // Nobody waits for it any more.
                let _ = self.store.write(&late).await;
            }
        }
        match self.liar.fate() {
            Fate::Done => self.store.write(rows).await,
            Fate::NotDone => Err(self.liar.not_done("write")),
            Fate::NotDoneUnreported => {
                self.late.lock().extend(self.liar.some_of(rows));
                Err(self.liar.unknown("write"))
            }
            Fate::DoneUnreported => {
                let done = if self.liar.toss(0.5) { rows.to_vec() } else { self.liar.some_of(rows) };
                if !done.is_empty() {
                    self.store.write(&done).await?;
                }
                Err(self.liar.unknown("write"))
            }
        }
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        self.liar.around("read", self.store.read(view, keys)).await
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        self.liar.around("scan", self.store.scan(view, partition_key, after_exclusive, limit)).await
    }

    async fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        self.liar.around("scan_all", self.store.scan_all(view, after_exclusive, limit)).await
    }
}

impl<V: ProgressStore> ProgressStore for LyingViewStore<V> {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        match self.liar.fate() {
            Fate::Done => self.store.save(updates).await,
            Fate::NotDone => Err(self.liar.not_done("save")),
            Fate::NotDoneUnreported => Err(self.liar.unknown("save")),
            Fate::DoneUnreported => {
                let done = if self.liar.toss(0.5) { updates.to_vec() } else { self.liar.some_of(updates) };
                if !done.is_empty() {
                    self.store.save(&done).await?;
                }
                Err(self.liar.unknown("save"))
            }
        }
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        self.liar.around("load", self.store.load(views)).await
    }

    async fn wait_for_change(&self, seen: &mut u64, patience: Duration) {
        // May return for no reason.
        if !self.liar.plays_a_trick() {
            self.store.wait_for_change(seen, patience).await;
        }
    }
}
