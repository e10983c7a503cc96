//! View cache in memory.

mod leases;

use std::hash::{BuildHasher, RandomState};

use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortResult, ViewCache},
};
use moka::sync::Cache;
use parking_lot::{Mutex, MutexGuard};

use leases::Leases;

type Key = (ViewId, RowKey);

/// Number of locks that the keys are distributed over, large enough to make contention rare.
const STRIPES: usize = 64;

/// Overhead of an entry in addition to its key and body: moka's bookkeeping and the handles.
const ENTRY_BYTES: usize = 256;

/// View cache in this process, bounded by bytes.
///
/// Hits take no key lock. Every operation that changes a key or grants a lease holds the key's lock, so that checking a
/// lease and acting on it are atomic.
pub struct EmbeddedViewCache {
    rows: Cache<Key, CachedRow>,
    leases: Leases,
    stripes: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl EmbeddedViewCache {
    /// Creates a cache for about `bytes_max` bytes of rows, keys and bookkeeping.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            rows: Cache::builder().max_capacity(bytes_max).weigher(weigh).build(),
            leases: Leases::default(),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Locks `key` against changes by other callers.
    fn lock(&self, key: &Key) -> Option<MutexGuard<'_, ()>> {
        let stripes = u64::try_from(self.stripes.len()).unwrap_or(1);
        let index = usize::try_from(self.hasher.hash_one(key) % stripes).ok()?;
        self.stripes.get(index).map(Mutex::lock)
    }

    fn read_one(&self, key: Key) -> CacheRead {
        if let Some(row) = self.rows.get(&key) {
            return CacheRead::Hit(row);
        }
        let _lock = self.lock(&key);
        // The row may have been cached while this caller waited for the lock.
        if let Some(row) = self.rows.get(&key) {
            return CacheRead::Hit(row);
        }
        self.leases.grant(key).map_or(CacheRead::Filling, CacheRead::Miss)
    }

    /// Caches a row unless a newer one is cached. The caller holds the key's lock.
    fn put(&self, key: Key, row: CachedRow) -> bool {
        let newer = self
            .rows
            .get(&key)
            .is_some_and(|there| (there.position, there.current_up_to) > (row.position, row.current_up_to));
        if !newer {
            self.rows.insert(key, row);
        }
        !newer
    }
}

impl ViewCache for EmbeddedViewCache {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        Ok(keys.iter().map(|key| self.read_one((view, key.clone()))).collect())
    }

    async fn fill(&self, view: ViewId, key: &RowKey, lease: FillLease, row: CachedRow) -> PortResult<bool> {
        let key = (view, key.clone());
        let _lock = self.lock(&key);
        Ok(self.leases.redeem(&key, lease) && self.put(key, row))
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        for (key, row) in rows {
            let key = (view, key.clone());
            let _lock = self.lock(&key);
            self.leases.end(&key);
            self.put(key, row.clone());
        }
        Ok(())
    }

    async fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> PortResult<()> {
        for key in keys {
            let key = (view, key.clone());
            let _lock = self.lock(&key);
            self.leases.end(&key);
            self.rows.invalidate(&key);
        }
        Ok(())
    }
}

fn weigh(key: &Key, row: &CachedRow) -> u32 {
    let body = row.body.as_ref().map_or(0, bytes::Bytes::len);
    let bytes = ENTRY_BYTES + key.1.partition_key.len() + key.1.sort_key.len() + body;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
