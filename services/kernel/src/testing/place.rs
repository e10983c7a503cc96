//! Where a suite runs.

use std::{future::Future, sync::Arc, time::Duration};

use super::lying::Liar;

/// Whether a port may fail while its suite runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// It may not: a failure breaks the contract.
    Never,
    /// It may at any time: the suite does what the contract tells a caller to do, and checks what holds all the same.
    Happen,
}

/// A fresh place of an adapter: a database, a topic, a cache. A suite uses its place up; the next run wants another one.
pub trait Place: Sync {
    /// The adapter.
    type Handle: Send + Sync + 'static;

    /// Another handle to the place, as a process of its own would have it.
    fn handle(&self) -> impl Future<Output = Arc<Self::Handle>>;

    /// Moves the place's clock on, or waits where it cannot be moved.
    fn advance(&self, by: Duration) -> impl Future<Output = ()>;

    /// Gives the future up after a time that no working adapter needs. A place on paused time gets by without waiting.
    fn within<T>(&self, bound: Duration, future: impl Future<Output = T>) -> impl Future<Output = Option<T>>;

    /// Whether handles may fail.
    fn failures(&self) -> Failures {
        Failures::Never
    }

    /// Whether a cache keeps what it is given as long as it is as little as a suite gives it.
    fn keeps(&self) -> bool {
        true
    }

    /// How long a member of a group may be silent before the log gives its partitions to others.
    fn session(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// How long a consumer waits for something at a time; more where the group sits in a server far away.
    fn patience(&self) -> Duration {
        Duration::from_millis(2)
    }
}

/// A place whose handles lie.
#[derive(Debug)]
pub struct LyingPlace<'a, P, W> {
    place: &'a P,
    liar: Liar,
    wrap: W,
}

impl<'a, P, W> LyingPlace<'a, P, W> {
    /// Puts a liar before every handle: `LyingPlace::new(&place, liar, LyingEventStore::new)`.
    pub fn new(place: &'a P, liar: Liar, wrap: W) -> Self {
        Self { place, liar, wrap }
    }
}

impl<P, W, H> Place for LyingPlace<'_, P, W>
where
    P: Place,
    W: Fn(Arc<P::Handle>, Liar) -> H + Sync,
    H: Send + Sync + 'static,
{
    type Handle = H;

    async fn handle(&self) -> Arc<H> {
        Arc::new((self.wrap)(self.place.handle().await, self.liar.clone()))
    }

    async fn advance(&self, by: Duration) {
        self.place.advance(by).await;
    }

    async fn within<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        self.place.within(bound, future).await
    }

    fn failures(&self) -> Failures {
        Failures::Happen
    }

    fn keeps(&self) -> bool {
        false
    }

    fn session(&self) -> Duration {
        self.place.session()
    }

    fn patience(&self) -> Duration {
        self.place.patience()
    }
}
