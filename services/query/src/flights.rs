//! Single flight: however many calls of this process miss one key at a time, one of them reads it for all.
//!
//! The read belongs to all who wait for it, not to the one who came first: if that caller goes away, the others carry it on; if all go away,
//! it is dropped. So there are never more reads than calls.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::CachedRow,
};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;

use crate::error::Trouble;

/// A read under way. Every clone gives the same result.
pub(crate) type Flight = Shared<Read>;
type Read = BoxFuture<'static, Result<CachedRow, Trouble>>;
type FlightId = (ViewId, RowKey);

/// All reads under way.
#[derive(Default)]
pub(crate) struct Flights {
    open: Mutex<HashMap<FlightId, Open>>,
    started: AtomicU64,
}

struct Open {
    number: u64,
    flight: WeakShared<Read>,
}

impl Flights {
    /// Joins the read of this row that is under way, or starts one. `take_over` starts one in any case, and those who come later join that:
    /// for a caller who holds the cache's lease, so that the result can be cached.
    pub(crate) fn join<F>(self: &Arc<Self>, id: FlightId, take_over: bool, read: impl FnOnce() -> F) -> Flight
    where
        F: Future<Output = Result<CachedRow, Trouble>> + Send + 'static,
    {
        let mut open = self.open.lock();
        if !take_over && let Some(flight) = open.get(&id).and_then(|open| open.flight.upgrade()) {
            return flight;
        }
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let landing = Landing { flights: Arc::clone(self), id: id.clone(), number };
        let read = read();
        let flight = async move {
            let _landing = landing;
            read.await
        }
        .boxed()
        .shared();
        if let Some(weak) = flight.downgrade() {
            open.insert(id, Open { number, flight: weak });
        }
        flight
    }

    #[cfg(test)]
    fn open_count(&self) -> usize {
        self.open.lock().len()
    }
}

/// Takes a read off the list when it is done, or dropped by all who waited.
struct Landing {
    flights: Arc<Flights>,
    id: FlightId,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut open = self.flights.open.lock();
        // Another may have taken the place since.
        if open.get(&self.id).is_some_and(|open| open.number == self.number) {
            open.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    const VIEW: ViewId = ViewId { name: "seats", generation: 1 };

    fn id() -> FlightId {
        (VIEW, RowKey::single("seat-1"))
    }

    async fn answer(answer: oneshot::Receiver<Result<CachedRow, Trouble>>) -> Result<CachedRow, Trouble> {
        answer.await.unwrap_or(Err(Trouble::Unavailable))
    }

    #[tokio::test]
    async fn all_who_come_share_one_read() {
        let flights = Arc::new(Flights::default());
        let (sender, receiver) = oneshot::channel();
        let first = flights.join(id(), false, || answer(receiver));
        let second = flights.join(id(), false, || async { panic!("a second read was started") });
        assert!(sender.send(Err(Trouble::Internal)).is_ok());
        // The first goes away; the second carries the read on.
        drop(first);
        assert_eq!(second.await, Err(Trouble::Internal));
        assert_eq!(flights.open_count(), 0);
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_dropped() {
        let flights = Arc::new(Flights::default());
        let (sender, receiver) = oneshot::channel();
        drop(flights.join(id(), false, || answer(receiver)));
        assert_eq!(flights.open_count(), 0);
        assert!(sender.is_closed());
    }

    #[tokio::test]
    async fn the_end_of_a_read_leaves_the_one_that_took_over_alone() {
        let flights = Arc::new(Flights::default());
        let (_sender, receiver) = oneshot::channel();
        let first = flights.join(id(), false, || async { Err(Trouble::Unavailable) });
        let second = flights.join(id(), true, || answer(receiver));
        assert_eq!(first.await, Err(Trouble::Unavailable));
        assert_eq!(flights.open_count(), 1);
        let joined = flights.join(id(), false, || async { panic!("a third read was started") });
        drop(second);
        drop(joined);
        assert_eq!(flights.open_count(), 0);
    }
}
