//! Where a suite runs.

use std::{future::Future, sync::Arc, time::Duration};

use super::faulty::FaultInjector;

/// Whether a port may fail while its suite runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// It may not: a failure breaks the contract.
    Forbidden,
    /// It may at any time: the suite does what the contract tells a caller to do, and checks what holds all the same.
    Allowed,
}

/// A fresh place of an adapter: a database, a topic, a cache. A suite uses its place up; the next run wants another one.
pub trait TestEnv: Sync {
    /// The adapter.
    type Handle: Send + Sync + 'static;

    /// Another handle to the place, as a process of its own would have it.
    fn handle(&self) -> impl Future<Output = Arc<Self::Handle>>;

    /// Moves the place's clock on, or waits where it cannot be moved.
    fn advance(&self, by: Duration) -> impl Future<Output = ()>;

    /// Gives the future up after a time that no working adapter needs. A place on paused time gets by without waiting.
    fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> impl Future<Output = Option<T>>;

    /// Whether handles may fail.
    fn failures(&self) -> Failures {
        Failures::Forbidden
    }

    /// Whether a cache keeps what it is given as long as it is as little as a suite gives it.
    fn retains_entries(&self) -> bool {
        true
    }

    /// How long a member of a group may be silent before the log gives its partitions to others.
    fn session_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// How long a consumer waits for something at a time; more where the group sits in a server far away.
    fn wait_max(&self) -> Duration {
        Duration::from_millis(2)
    }
}

/// A place whose handles lie.
#[derive(Debug)]
pub struct FaultyTestEnv<'a, P, W> {
    env: &'a P,
    faults: FaultInjector,
    wrap: W,
}

impl<'a, P, W> FaultyTestEnv<'a, P, W> {
    /// Puts a liar before every handle: `FaultyTestEnv::new(&place, liar, FaultyEventStore::new)`.
    pub fn new(env: &'a P, faults: FaultInjector, wrap: W) -> Self {
        Self { env, faults, wrap }
    }
}

impl<P, W, H> TestEnv for FaultyTestEnv<'_, P, W>
where
    P: TestEnv,
    W: Fn(Arc<P::Handle>, FaultInjector) -> H + Sync,
    H: Send + Sync + 'static,
{
    type Handle = H;

    async fn handle(&self) -> Arc<H> {
        Arc::new((self.wrap)(self.env.handle().await, self.faults.clone()))
    }

    async fn advance(&self, by: Duration) {
        self.env.advance(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        self.env.timeout(bound, future).await
    }

    fn failures(&self) -> Failures {
        Failures::Allowed
    }

    fn retains_entries(&self) -> bool {
        false
    }

    fn session_timeout(&self) -> Duration {
        self.env.session_timeout()
    }

    fn wait_max(&self) -> Duration {
        self.env.wait_max()
    }
}
