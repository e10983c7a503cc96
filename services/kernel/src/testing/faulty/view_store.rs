//! View store with injected faults.

use std::{mem, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{CallOutcome, FaultInjector};
use crate::{
    domain::{RowKey, ViewId},
    ports::{
        PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, TablePosition, TableReader, ViewStore,
    },
};

/// Wraps a view store, and its progress store if it has one, and injects faults. A write of unknown effect may have
/// written some of its rows, the oldest ones of some groups, or may write them later.
#[derive(Debug)]
pub struct FaultyViewStore<V> {
    store: Arc<V>,
    faults: FaultInjector,
    delayed: Mutex<Vec<RowWrite>>,
}

impl<V: Send + Sync + 'static> FaultyViewStore<V> {
    /// Wraps a store.
    #[must_use]
    pub fn new(store: Arc<V>, faults: FaultInjector) -> Self {
        Self { store, faults, delayed: Mutex::default() }
    }

    /// Returns the oldest rows of each group, of some groups none and of some groups all.
    fn random_oldest(&self, rows: &[RowWrite]) -> Vec<RowWrite> {
        let mut rows = rows.to_vec();
        rows.sort_by(|one, other| {
            one.key.partition_key.cmp(&other.key.partition_key).then(one.row.position.cmp(&other.row.position))
        });
        let groups = rows.chunk_by(|one, other| one.key.partition_key == other.key.partition_key);
        groups.flat_map(|group| group.iter().take_while(|_| self.faults.random_bool(0.6))).cloned().collect()
    }
}

impl<V: ViewStore> ViewStore for FaultyViewStore<V> {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        self.faults.intercept("ensure_views", self.store.ensure_views(views)).await
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        if !self.faults.has_crashed() && self.faults.random_bool(0.5) {
            let delayed = mem::take(&mut *self.delayed.lock());
            if !delayed.is_empty() {
                // No caller waits for the result.
                let _ = self.store.write(&delayed).await;
            }
        }
        match self.faults.next_outcome() {
            CallOutcome::Done => self.store.write(rows).await,
            CallOutcome::NotDone => Err(self.faults.not_done("write")),
            CallOutcome::NotDoneUnreported => {
                self.delayed.lock().extend(self.random_oldest(rows));
                Err(self.faults.unknown("write"))
            }
            CallOutcome::DoneUnreported => {
                let done = if self.faults.random_bool(0.5) { rows.to_vec() } else { self.random_oldest(rows) };
                if !done.is_empty() {
                    self.store.write(&done).await?;
                }
                Err(self.faults.unknown("write"))
            }
        }
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        self.faults.intercept("read", self.store.read(view, keys)).await
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        self.faults.intercept("scan", self.store.scan(view, partition_key, after_exclusive, limit)).await
    }

    async fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        self.faults.intercept("scan_all", self.store.scan_all(view, after_exclusive, limit)).await
    }
}

impl<V: ProgressStore> ProgressStore for FaultyViewStore<V> {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        match self.faults.next_outcome() {
            CallOutcome::Done => self.store.save(updates).await,
            CallOutcome::NotDone => Err(self.faults.not_done("save")),
            CallOutcome::NotDoneUnreported => Err(self.faults.unknown("save")),
            CallOutcome::DoneUnreported => {
                let done =
                    if self.faults.random_bool(0.5) { updates.to_vec() } else { self.faults.random_subset(updates) };
                if !done.is_empty() {
                    self.store.save(&done).await?;
                }
                Err(self.faults.unknown("save"))
            }
        }
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        self.faults.intercept("load", self.store.load(views)).await
    }

    async fn table_positions(&self) -> PortResult<Vec<TablePosition>> {
        self.faults.intercept("table_positions", self.store.table_positions()).await
    }

    async fn add_reader(&self, instance: &str, views: &[ViewId], time_to_live: Duration) -> PortResult<()> {
        self.faults.intercept("add_reader", self.store.add_reader(instance, views, time_to_live)).await
    }

    async fn remove_reader(&self, instance: &str, views: &[ViewId]) -> PortResult<()> {
        self.faults.intercept("remove_reader", self.store.remove_reader(instance, views)).await
    }

    async fn readers(&self) -> PortResult<Vec<TableReader>> {
        self.faults.intercept("readers", self.store.readers()).await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        // Spurious returns are allowed.
        if !self.faults.injects_anomaly() {
            self.store.wait_for_change(seen, wait_max).await;
        }
    }
}
