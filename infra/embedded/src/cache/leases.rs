//! Fill leases by key.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use diptych_kernel::ports::FillLease;
use moka::sync::Cache;

use super::Key;

/// Lifetime of a lease. After it, another reader may fill the key, because the first one may have crashed.
const LEASE_TIME: Duration = Duration::from_secs(10);

/// Largest number of valid leases. An evicted lease is void, which costs one fill.
const LEASES_MAX: u64 = 16_384;

/// Valid leases by key. The caller of each method holds the key's lock.
pub(super) struct Leases {
    good: Cache<Key, FillLease>,
    last: AtomicU64,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            good: Cache::builder().max_capacity(LEASES_MAX).time_to_live(LEASE_TIME).build(),
            last: AtomicU64::new(0),
        }
    }
}

impl Leases {
    /// Grants a lease for `key`, or returns `None` if another one is valid.
    pub(super) fn grant(&self, key: Key) -> Option<FillLease> {
        if self.good.contains_key(&key) {
            return None;
        }
        let lease = FillLease(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        self.good.insert(key, lease);
        Some(lease)
    }

    /// Uses up a lease. Returns whether it was valid.
    pub(super) fn redeem(&self, key: &Key, lease: FillLease) -> bool {
        let is_good = self.good.get(key) == Some(lease);
        if is_good {
            self.good.invalidate(key);
        }
        is_good
    }

    /// Voids the lease of a key, if there is one.
    pub(super) fn end(&self, key: &Key) {
        self.good.invalidate(key);
    }
}
