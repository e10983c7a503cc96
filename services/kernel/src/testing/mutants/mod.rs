//! Tests of the suites: small in-memory adapters that must pass, and mutants with one broken rule, which must be
//! caught.

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

/// Test environment whose handles all share one in-memory adapter.
struct InMemoryTestEnv<H> {
    handle: Arc<H>,
    clock: Arc<ManualClock>,
}

impl<H> InMemoryTestEnv<H> {
    fn new(open: impl FnOnce(Arc<ManualClock>) -> H) -> Self {
        let clock = Arc::new(ManualClock::default());
        Self { handle: Arc::new(open(Arc::clone(&clock))), clock }
    }
}

impl<H: Send + Sync + 'static> TestEnv for InMemoryTestEnv<H> {
    type Handle = H;

    async fn handle(&self) -> Arc<H> {
        Arc::clone(&self.handle)
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// In-memory adapters never wait.
    async fn timeout<T>(&self, _: Duration, future: impl Future<Output = T>) -> Option<T> {
        Some(future.await)
    }
}

/// Runs a suite on a mutant with several seeds, and checks that one of them fails.
fn assert_caught<H, S>(
    mutation: impl Debug,
    open: impl Fn(Arc<ManualClock>) -> H,
    suite: impl Fn(InMemoryTestEnv<H>, u64) -> S,
) where
    S: Future<Output = ()>,
{
    let passes = |seed| catch_unwind(AssertUnwindSafe(|| block_on(suite(InMemoryTestEnv::new(&open), seed)))).is_ok();
    assert!(!(0..5).all(passes), "the suite does not catch {mutation:?}");
}
