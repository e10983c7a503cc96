//! Who watches the suites: small adapters in memory that pass, and the same ones with one thing broken, which must not.

mod event_store;
mod relay_state;
mod view_cache;
mod view_store;

use std::{
    fmt::Debug,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use super::{ManualClock, TestEnv, block_on};

/// A place whose handles are all the same adapter.
struct Toy<H> {
    handle: Arc<H>,
    clock: Arc<ManualClock>,
}

impl<H> Toy<H> {
    fn new(open: impl FnOnce(Arc<ManualClock>) -> H) -> Self {
        let clock = Arc::new(ManualClock::default());
        Self { handle: Arc::new(open(Arc::clone(&clock))), clock }
    }
}

impl<H: Send + Sync + 'static> TestEnv for Toy<H> {
    type Handle = H;

    async fn handle(&self) -> Arc<H> {
        Arc::clone(&self.handle)
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// A toy never waits.
    async fn timeout<T>(&self, _: Duration, future: impl Future<Output = T>) -> Option<T> {
        Some(future.await)
    }
}

/// Runs a suite with several seeds on a toy that has a fault, and checks that one of them finds it.
fn assert_caught<H, S>(fault: impl Debug, open: impl Fn(Arc<ManualClock>) -> H, suite: impl Fn(Toy<H>, u64) -> S)
where
    S: Future<Output = ()>,
{
    let passes = |seed| catch_unwind(AssertUnwindSafe(|| block_on(suite(Toy::new(&open), seed)))).is_ok();
    assert!(!(0..5).all(passes), "the suite is content with {fault:?}");
}
