//! Keys that must be deleted on the server before their cached values may be used again.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{key::Key, metrics::ConnectionMetrics};

/// The maximum number of pending keys: some seconds of calls to a server that does not answer, in a few megabytes.
const KEYS_MAX: usize = 16_384;

/// The keys of calls that failed, and of changes that were cancelled.
///
/// A reader whose read failed goes to the read database and may answer with a newer row than the cached one; a
/// projector whose refresh failed leaves an older row in the cache. So the key is deleted as soon as its server can be
/// reached, and before it is read again.
#[derive(Debug)]
pub(crate) struct PendingInvalidations {
    /// The number of pending keys. While it is 0 the lock is not taken.
    count: AtomicUsize,
    pending: Mutex<PendingKeys>,
    /// True if keys were dropped because the limit was reached.
    has_overflown: AtomicBool,
    added: Notify,
    keys_max: usize,
}

#[derive(Debug, Default)]
struct PendingKeys {
    /// Each with the id of the latest call: a call that fails while the key is being deleted requires another delete.
    keys: HashMap<Key, InvalidationId>,
    last_id: u64,
}

/// Identity of a pending invalidation: a number per failed call and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidationId(u64);

impl Default for PendingInvalidations {
    fn default() -> Self {
        Self::with_capacity(KEYS_MAX)
    }
}

impl PendingInvalidations {
    fn with_capacity(keys_max: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            pending: Mutex::default(),
            has_overflown: AtomicBool::new(false),
            added: Notify::new(),
            keys_max,
        }
    }

    /// Adds keys; those beyond the limit are dropped, which sets the overflow flag.
    pub(crate) fn add(&self, keys: impl IntoIterator<Item = Key>, metrics: &ConnectionMetrics) {
        let mut pending = self.pending.lock();
        for key in keys {
            pending.last_id += 1;
            let id = InvalidationId(pending.last_id);
            if pending.keys.len() < self.keys_max || pending.keys.contains_key(&key) {
                pending.keys.insert(key, id);
            } else {
                self.has_overflown.store(true, Ordering::Release);
                metrics.invalidations_dropped.increment(1);
            }
        }
        self.count.store(pending.keys.len(), Ordering::Release);
        drop(pending);
        self.added.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// The pending invalidation of a key, if there is one.
    pub(crate) fn get(&self, key: &Key) -> Option<InvalidationId> {
        if self.is_empty() { None } else { self.pending.lock().keys.get(key).copied() }
    }

    /// Up to `max` pending invalidations, in no order.
    pub(crate) fn list(&self, max: usize) -> Vec<(Key, InvalidationId)> {
        self.pending.lock().keys.iter().take(max).map(|(key, id)| (key.clone(), *id)).collect()
    }

    /// Removes a key after its delete, unless it was added again in the meantime.
    pub(crate) fn complete(&self, key: &Key, id: InvalidationId) {
        let mut pending = self.pending.lock();
        if pending.keys.get(key) == Some(&id) {
            pending.keys.remove(key);
        }
        self.count.store(pending.keys.len(), Ordering::Release);
    }

    /// Resets the overflow flag and returns whether it was set: then every item older than now may be stale.
    pub(crate) fn take_overflow(&self) -> bool {
        // The load keeps the common case free of writes.
        self.has_overflown.load(Ordering::Acquire) && self.has_overflown.swap(false, Ordering::AcqRel)
    }

    /// Waits until keys have been added since the last wait ended.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Key {
        Key::from(name.as_bytes())
    }

    #[tokio::test]
    async fn a_key_is_pending_until_its_delete_completes() {
        let (pending, metrics) = (PendingInvalidations::default(), ConnectionMetrics::new("test"));
        assert!(pending.is_empty() && pending.get(&key("a")).is_none());
        pending.add([key("a"), key("b")], &metrics);
        pending.added().await;
        let id = pending.get(&key("a")).unwrap();
        assert_eq!(pending.list(9).len(), 2);
        pending.complete(&key("a"), id);
        assert!(pending.get(&key("a")).is_none() && pending.get(&key("b")).is_some());
    }

    #[test]
    fn a_key_added_again_during_its_delete_stays_pending() {
        let (pending, metrics) = (PendingInvalidations::default(), ConnectionMetrics::new("test"));
        pending.add([key("a")], &metrics);
        let id = pending.get(&key("a")).unwrap();
        pending.add([key("a")], &metrics);
        pending.complete(&key("a"), id);
        let again = pending.get(&key("a")).unwrap();
        pending.complete(&key("a"), again);
        assert!(pending.is_empty());
    }

    #[test]
    fn keys_beyond_the_limit_set_the_overflow_flag() {
        let (pending, metrics) = (PendingInvalidations::with_capacity(2), ConnectionMetrics::new("test"));
        pending.add([key("a"), key("b"), key("a")], &metrics);
        assert!(!pending.take_overflow());
        pending.add([key("c")], &metrics);
        assert!(pending.take_overflow() && !pending.take_overflow());
        assert_eq!(pending.list(9).len(), 2);
    }
}
