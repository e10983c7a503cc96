//! A read database that takes its time: after it has looked, and before it says what it saw.

use std::{future::Future, time::Duration};

use diptych_embedded::EmbeddedViewStore;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, ViewStore},
};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};

pub(crate) struct SlowStore {
    inner: EmbeddedViewStore,
    dice: Mutex<SmallRng>,
}

impl SlowStore {
    pub(crate) fn new(inner: EmbeddedViewStore, seed: u64) -> Self {
        Self { inner, dice: Mutex::new(SmallRng::seed_from_u64(seed)) }
    }

    async fn take_time(&self) {
        let millis = self.dice.lock().random_range(0..6);
        if millis > 0 {
            diptych_runtime::pause(Duration::from_millis(millis)).await;
        }
    }
}

impl ViewStore for SlowStore {
    fn ensure_views(&self, views: &[ViewId]) -> impl Future<Output = PortResult<()>> + Send {
        self.inner.ensure_views(views)
    }

    fn write(&self, rows: &[RowWrite]) -> impl Future<Output = PortResult<()>> + Send {
        self.inner.write(rows)
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        let rows = self.inner.read(view, keys).await;
        self.take_time().await;
        rows
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        let page = self.inner.scan(view, partition_key, after_exclusive, limit).await;
        self.take_time().await;
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

impl ProgressStore for SlowStore {
    fn save(&self, updates: &[ProgressUpdate]) -> impl Future<Output = PortResult<()>> + Send {
        self.inner.save(updates)
    }

    fn load(&self, views: &[ViewId]) -> impl Future<Output = PortResult<Vec<ProgressUpdate>>> + Send {
        self.inner.load(views)
    }

    fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) -> impl Future<Output = ()> + Send {
        self.inner.wait_for_change(seen, wait_max)
    }
}
