//! Test environments for the conformance suites.

use std::{future::Future, sync::Arc, time::Duration};

use super::faulty::FaultInjector;

/// Permission for calls to fail while a suite runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failures {
    /// Calls must not fail: a failure breaks the contract.
    Forbidden,
    /// Any call may fail. The suite then acts as the contract tells a caller to, and checks the rules that still hold.
    Allowed,
}

/// Fresh storage of one adapter: a database, a topic or a cache. Each run of a suite needs a new one.
pub trait TestEnv: Sync {
    /// The adapter type.
    type Handle: Send + Sync + 'static;

    /// Opens another handle to the same storage, as another process would.
    fn handle(&self) -> impl Future<Output = Arc<Self::Handle>>;

    /// Advances the storage's clock, or waits if it cannot be advanced.
    fn advance(&self, by: Duration) -> impl Future<Output = ()>;

    /// Runs a future with a time limit that no working adapter needs; returns `None` if it is exceeded. On paused time
    /// this does not wait.
    fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> impl Future<Output = Option<T>>;

    /// Returns whether calls may fail.
    fn failures(&self) -> Failures {
        Failures::Forbidden
    }

    /// Returns whether the cache retains the few entries that a suite stores.
    fn retains_entries(&self) -> bool {
        true
    }

    /// Returns the session timeout: how long a group member may send no heartbeat before it loses its partitions.
    fn session_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Returns the wait time of one poll of a consumer. Remote logs need more than the default.
    fn wait_max(&self) -> Duration {
        Duration::from_millis(2)
    }
}

/// Test environment whose handles inject faults.
#[derive(Debug)]
pub struct FaultyTestEnv<'a, P, W> {
    env: &'a P,
    faults: FaultInjector,
    wrap: W,
}

impl<'a, P, W> FaultyTestEnv<'a, P, W> {
    /// Wraps every handle of `env`: `FaultyTestEnv::new(&env, faults, FaultyEventStore::new)`.
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
