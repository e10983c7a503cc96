//! Who fills which key.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use diptych_kernel::ports::FillLease;
use moka::sync::Cache;

use super::Key;

/// How long a reader may take to fill a key before another one may: it may have died.
const LEASE_TIME: Duration = Duration::from_secs(10);

/// How many keys may be being filled. A lease that finds no room is void, which costs one fill.
const LEASES_MAX: u64 = 16_384;

/// The leases that are good, by key. The caller of each method has the key's turn.
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
    /// A lease for `key`, or `None` where another one is good.
    pub(super) fn grant(&self, key: Key) -> Option<FillLease> {
        if self.good.contains_key(&key) {
            return None;
        }
        let lease = FillLease(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        self.good.insert(key, lease);
        Some(lease)
    }

    /// Uses a lease up. Whether it was good.
    pub(super) fn redeem(&self, key: &Key, lease: FillLease) -> bool {
        let is_good = self.good.get(key) == Some(lease);
        if is_good {
            self.good.invalidate(key);
        }
        is_good
    }

    /// Ends the lease of a key, if there is one.
    pub(super) fn end(&self, key: &Key) {
        self.good.invalidate(key);
    }
}
