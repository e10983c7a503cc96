//! Keys that must be forgotten before anybody believes what is cached under them.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{key::Key, metrics::LaneMetrics};

/// How many keys are remembered: some seconds of calls to a server that does not answer, in a few megabytes.
const KEYS_MAX: usize = 16_384;

/// The keys of calls that failed, or that nobody waited for any more.
///
/// Whoever fails to read a key goes to the read database and may tell of a row that is newer than what is cached; whoever fails to refresh it
/// leaves an older row there. So such a key is forgotten as soon as its server can be reached, and before it is looked at again.
#[derive(Debug)]
pub(crate) struct Debts {
    /// How many there are, so that in good times nobody takes the lock.
    count: AtomicUsize,
    owed: Mutex<Owed>,
    /// Some found no room.
    has_overflown: AtomicBool,
    incurred: Notify,
    keys_max: usize,
}

#[derive(Debug, Default)]
struct Owed {
    /// With a number that says which call it was: one that fails while the key is being forgotten wants that done again.
    keys: HashMap<Key, Debt>,
    last: u64,
}

/// Which call a key is owed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debt(u64);

impl Default for Debts {
    fn default() -> Self {
        Self::with_room_for(KEYS_MAX)
    }
}

impl Debts {
    fn with_room_for(keys_max: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            owed: Mutex::default(),
            has_overflown: AtomicBool::new(false),
            incurred: Notify::new(),
            keys_max,
        }
    }

    /// Remembers keys.
    pub(crate) fn incur(&self, keys: impl IntoIterator<Item = Key>, metrics: &LaneMetrics) {
        let mut owed = self.owed.lock();
        for key in keys {
            owed.last += 1;
            let debt = Debt(owed.last);
            if owed.keys.len() < self.keys_max || owed.keys.contains_key(&key) {
                owed.keys.insert(key, debt);
            } else {
                self.has_overflown.store(true, Ordering::Release);
                metrics.unrepaired.increment(1);
            }
        }
        self.count.store(owed.keys.len(), Ordering::Release);
        drop(owed);
        self.incurred.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Whether this key must be forgotten.
    pub(crate) fn of(&self, key: &Key) -> Option<Debt> {
        if self.is_empty() { None } else { self.owed.lock().keys.get(key).copied() }
    }

    /// Some of the keys.
    pub(crate) fn some(&self, max: usize) -> Vec<(Key, Debt)> {
        self.owed.lock().keys.iter().take(max).map(|(key, debt)| (key.clone(), *debt)).collect()
    }

    /// The key was forgotten after the debt was incurred.
    pub(crate) fn settle(&self, key: &Key, debt: Debt) {
        let mut owed = self.owed.lock();
        if owed.keys.get(key) == Some(&debt) {
            owed.keys.remove(key);
        }
        self.count.store(owed.keys.len(), Ordering::Release);
    }

    /// Whether some keys found no room since this was last asked, so that everything is doubtful that is older than now.
    pub(crate) fn take_overflow(&self) -> bool {
        // The load keeps the common case free of writes.
        self.has_overflown.load(Ordering::Acquire) && self.has_overflown.swap(false, Ordering::AcqRel)
    }

    /// Waits until keys were remembered since this last came back.
    pub(crate) async fn incurred(&self) {
        self.incurred.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Key {
        Key::from(name.as_bytes())
    }

    #[tokio::test]
    async fn a_key_is_owed_until_it_was_forgotten() {
        let (debts, metrics) = (Debts::default(), LaneMetrics::new("test"));
        assert!(debts.is_empty() && debts.of(&key("a")).is_none());
        debts.incur([key("a"), key("b")], &metrics);
        debts.incurred().await;
        let debt = debts.of(&key("a")).unwrap();
        assert_eq!(debts.some(9).len(), 2);
        debts.settle(&key("a"), debt);
        assert!(debts.of(&key("a")).is_none() && debts.of(&key("b")).is_some());
    }

    #[test]
    fn a_call_that_fails_meanwhile_is_not_settled() {
        let (debts, metrics) = (Debts::default(), LaneMetrics::new("test"));
        debts.incur([key("a")], &metrics);
        let debt = debts.of(&key("a")).unwrap();
        debts.incur([key("a")], &metrics);
        debts.settle(&key("a"), debt);
        let again = debts.of(&key("a")).unwrap();
        debts.settle(&key("a"), again);
        assert!(debts.is_empty());
    }

    #[test]
    fn what_finds_no_room_is_said() {
        let (debts, metrics) = (Debts::with_room_for(2), LaneMetrics::new("test"));
        debts.incur([key("a"), key("b"), key("a")], &metrics);
        assert!(!debts.take_overflow());
        debts.incur([key("c")], &metrics);
        assert!(debts.take_overflow() && !debts.take_overflow());
        assert_eq!(debts.some(9).len(), 2);
    }
}
