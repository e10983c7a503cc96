//! Single flight: concurrent calls that need the same value share one read of it.
//!
//! A call may join a read only until the read asks the store: what the store answers afterwards may be older than a row
//! that another call returned before this call began (G7). Calls that come later share the next read, which starts when
//! the read in flight has ended. So a value that many calls need is read once at a time, and once more by a caller that
//! holds the cache's lease.
//!
//! A read belongs to all calls that wait for it, not to the first one: if that call is cancelled, the others carry the
//! read on; if all are cancelled, it is dropped.

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
use tokio::sync::oneshot;

/// A read in flight. Every clone resolves to the same value.
pub(crate) type SharedRead<T> = Shared<BoxFuture<'static, T>>;

/// All reads in flight, by key.
pub(crate) struct SingleFlight<K: Eq + Hash, T> {
    /// The newest read of each key.
    reads: Mutex<HashMap<K, ReadInFlight<T>>>,
    next_id: AtomicU64,
}

struct ReadInFlight<T> {
    id: u64,
    read: WeakShared<BoxFuture<'static, T>>,
    /// False once the read has asked the store.
    is_joinable: bool,
    /// Resolves when the read has ended, or was dropped by all its calls.
    ended: Shared<oneshot::Receiver<()>>,
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
    /// Joins a read of this key that has not asked the store yet, or adds one that starts when the read in flight has
    /// ended. `replace` starts one at once in any case, and later calls join that one: for a caller that holds the
    /// cache's lease, so that the result can be cached.
    ///
    /// The read must close its [`JoinWindow`] before it asks the store.
    pub(crate) fn join<F>(
        self: &Arc<Self>,
        key: K,
        replace: bool,
        read: impl FnOnce(JoinWindow<K, T>) -> F,
    ) -> SharedRead<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut reads = self.reads.lock();
        let newest = reads.get(&key).filter(|_| !replace);
        if let Some(read) = newest.filter(|newest| newest.is_joinable).and_then(|newest| newest.read.upgrade()) {
            return read;
        }
        let earlier = newest.map(|newest| newest.ended.clone());
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        let registration = Registration { single_flight: Arc::clone(self), key: key.clone(), id, _end: end };
        let read = read(JoinWindow { single_flight: Arc::clone(self), key: key.clone(), id });
        let shared = async move {
            let _registration = registration;
            if let Some(earlier) = earlier {
                // The sender is dropped, never used.
                let _ = earlier.await;
            }
            read.await
        }
        .boxed()
        .shared();
        if let Some(weak) = shared.downgrade() {
            reads.insert(key, ReadInFlight { id, read: weak, is_joinable: true, ended: ended.shared() });
        }
        shared
    }

    #[cfg(test)]
    fn in_flight_count(&self) -> usize {
        self.reads.lock().len()
    }
}

/// The time in which calls may join a read.
pub(crate) struct JoinWindow<K: Eq + Hash, T> {
    single_flight: Arc<SingleFlight<K, T>>,
    key: K,
    id: u64,
}

impl<K: Eq + Hash, T> JoinWindow<K, T> {
    /// Ends it: the read asks the store now.
    pub(crate) fn close(&self) {
        if let Some(read) = self.single_flight.reads.lock().get_mut(&self.key).filter(|read| read.id == self.id) {
            read.is_joinable = false;
        }
    }
}

/// Removes a read from the map when it completes, or is dropped by all its calls.
struct Registration<K: Eq + Hash, T> {
    single_flight: Arc<SingleFlight<K, T>>,
    key: K,
    id: u64,
    /// Dropped with the read, which starts the next one.
    _end: oneshot::Sender<()>,
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
        let first = single_flight.join(KEY, false, |_| receive(receiver));
        let second = single_flight.join(KEY, false, |_| async { panic!("a second read was started") });
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
        drop(single_flight.join(KEY, false, |_| receive(receiver)));
        assert_eq!(single_flight.in_flight_count(), 0);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn the_end_of_a_replaced_read_leaves_its_replacement_in_place() {
        let single_flight = Arc::new(SingleFlight::default());
        let (_sender, receiver) = oneshot::channel();
        let first = single_flight.join(KEY, false, |_| async { 7 });
        let second = single_flight.join(KEY, true, |_| receive(receiver));
        assert_eq!(first.await, 7);
        assert_eq!(single_flight.in_flight_count(), 1);
        let joined = single_flight.join(KEY, false, |_| async { panic!("a third read was started") });
        drop(second);
        drop(joined);
        assert_eq!(single_flight.in_flight_count(), 0);
    }

    /// The row that the store reads for the first call may be older than a row that another call has returned since.
    #[tokio::test]
    async fn calls_after_the_store_was_asked_share_the_next_read() {
        let single_flight = Arc::new(SingleFlight::default());
        let (sender, receiver) = oneshot::channel();
        let mut first = single_flight.join(KEY, false, |window| async move {
            window.close();
            receive(receiver).await
        });
        assert!((&mut first).now_or_never().is_none());
        let mut second = single_flight.join(KEY, false, |_| async { 9 });
        let third = single_flight.join(KEY, false, |_| async { panic!("a third read was started") });
        assert!((&mut second).now_or_never().is_none(), "two reads of one key at a time");
        assert!(sender.send(7).is_ok());
        assert_eq!(tokio::join!(first, second, third), (7, 9, 9));
        assert_eq!(single_flight.in_flight_count(), 0);
    }

    #[tokio::test]
    async fn the_next_read_starts_when_the_first_is_dropped() {
        let single_flight = Arc::new(SingleFlight::default());
        let (_sender, receiver) = oneshot::channel();
        let mut first = single_flight.join(KEY, false, |window| async move {
            window.close();
            receive(receiver).await
        });
        assert!((&mut first).now_or_never().is_none());
        let second = single_flight.join(KEY, false, |_| async { 9 });
        drop(first);
        assert_eq!(second.await, 9);
    }

    #[tokio::test]
    async fn the_next_read_starts_when_the_first_fails() {
        let single_flight: Arc<SingleFlight<_, Result<u32, ()>>> = Arc::default();
        let first = single_flight.join(KEY, false, |window| async move {
            window.close();
            tokio::task::yield_now().await;
            Err(())
        });
        let mut polled = first.clone();
        assert!((&mut polled).now_or_never().is_none());
        let second = single_flight.join(KEY, false, |_| async { Ok(9) });
        assert_eq!(tokio::join!(first, second), (Err(()), Ok(9)));
    }
}
