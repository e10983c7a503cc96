//! Single flight: concurrent calls that need the same value share one read of it.
//!
//! The read belongs to all calls that wait for it, not to the first one: if that call is cancelled, the others carry
//! the read on; if all are cancelled, it is dropped. So there are never more reads than calls.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;

/// A read in flight. Every clone resolves to the same value.
pub(crate) type SharedRead<T> = Shared<BoxFuture<'static, T>>;

/// All reads in flight, by key.
pub(crate) struct SingleFlight<K: Eq + Hash, T> {
    reads: Mutex<HashMap<K, ReadInFlight<T>>>,
    next_id: AtomicU64,
}

struct ReadInFlight<T> {
    id: u64,
    read: WeakShared<BoxFuture<'static, T>>,
}

impl<K: Eq + Hash, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self { reads: Mutex::default(), next_id: AtomicU64::default() }
    }
}

impl<K, T> SingleFlight<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Joins the read of this key that is in flight, or starts one. `replace` starts one in any case, and later calls
    /// join that one: for a caller that holds the cache's lease, so that the result can be cached.
    pub(crate) fn join<F>(self: &Arc<Self>, key: K, replace: bool, read: impl FnOnce() -> F) -> SharedRead<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut reads = self.reads.lock();
        if !replace && let Some(read) = reads.get(&key).and_then(|in_flight| in_flight.read.upgrade()) {
            return read;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let registration = Registration { single_flight: Arc::clone(self), key: key.clone(), id };
        let read = read();
        let shared = async move {
            let _registration = registration;
            read.await
        }
        .boxed()
        .shared();
        if let Some(weak) = shared.downgrade() {
            reads.insert(key, ReadInFlight { id, read: weak });
        }
        shared
    }

    #[cfg(test)]
    fn in_flight_count(&self) -> usize {
        self.reads.lock().len()
    }
}

/// Removes a read from the map when it completes, or is dropped by all its calls.
struct Registration<K: Eq + Hash, T> {
    single_flight: Arc<SingleFlight<K, T>>,
    key: K,
    id: u64,
}

impl<K: Eq + Hash, T> Drop for Registration<K, T> {
    fn drop(&mut self) {
        let mut reads = self.single_flight.reads.lock();
        // Another read may have replaced this one.
        if reads.get(&self.key).is_some_and(|in_flight| in_flight.id == self.id) {
            reads.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const KEY: &str = "seat-1";
    const CANCELLED: u32 = 0;

    async fn receive(receiver: oneshot::Receiver<u32>) -> u32 {
        receiver.await.unwrap_or(CANCELLED)
    }

    #[tokio::test]
    async fn concurrent_calls_share_one_read() {
        let single_flight = Arc::new(SingleFlight::default());
        let (sender, receiver) = oneshot::channel();
        let first = single_flight.join(KEY, false, || receive(receiver));
        let second = single_flight.join(KEY, false, || async { panic!("a second read was started") });
        assert!(sender.send(7).is_ok());
        // The first call is cancelled; the second carries the read on.
        drop(first);
        assert_eq!(second.await, 7);
        assert_eq!(single_flight.in_flight_count(), 0);
    }

    #[tokio::test]
    async fn a_read_is_dropped_when_all_its_calls_are_cancelled() {
        let single_flight = Arc::new(SingleFlight::default());
        let (sender, receiver) = oneshot::channel();
        drop(single_flight.join(KEY, false, || receive(receiver)));
        assert_eq!(single_flight.in_flight_count(), 0);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn the_end_of_a_replaced_read_leaves_its_replacement_in_place() {
        let single_flight = Arc::new(SingleFlight::default());
        let (_sender, receiver) = oneshot::channel();
        let first = single_flight.join(KEY, false, || async { 7 });
        let second = single_flight.join(KEY, true, || receive(receiver));
        assert_eq!(first.await, 7);
        assert_eq!(single_flight.in_flight_count(), 1);
        let joined = single_flight.join(KEY, false, || async { panic!("a third read was started") });
        drop(second);
        drop(joined);
        assert_eq!(single_flight.in_flight_count(), 0);
    }
}
