//! Helpers that the suites share.

use std::{
    env,
    future::{Future, poll_fn},
    ops::Range,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use uuid::Uuid;

use super::{Failures, TestEnv};
use crate::{
    ports::{PortResult, Remedy},
    vocabulary::RequestId,
};

/// Attempts after which a suite fails. The fault injector never fails that many calls in a row.
pub(super) const ATTEMPTS_MAX: usize = 1_000;

/// Time limit for calls that must return promptly.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Seeds that a randomized test runs with: 0 to `default_count`, or 0 to `DIPTYCH_SEEDS`, or the single seed
/// `DIPTYCH_SEED`.
///
/// # Panics
/// If one of the variables is set and is not a number.
#[must_use]
pub fn seeds(default_count: u64) -> Range<u64> {
    let number = |name: &str| {
        let text = env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
    };
    match number("DIPTYCH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DIPTYCH_SEEDS").unwrap_or(default_count),
    }
}

/// Runs a test, and prints the seed if the test panics.
pub async fn with_seed<T>(seed: u64, test: impl Future<Output = T>) -> T {
    let _printer = PrintOnPanic(seed);
    test.await
}

struct PrintOnPanic(u64);

impl Drop for PrintOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed={}", self.0);
        }
    }
}

/// Yields once, so that other futures of the same task can run.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs a future without a runtime. The future must not wait for external events.
///
/// # Panics
/// If the future is still pending after a million polls.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("the future is still pending after a million polls");
}

/// State of one run of a suite: the environment, the seed and the random generator.
pub(super) struct SuiteRun<'a, P> {
    pub(super) env: &'a P,
    seed: u64,
    requests: AtomicU64,
    rng: Mutex<SmallRng>,
}

impl<'a, P: TestEnv> SuiteRun<'a, P> {
    pub(super) fn new(env: &'a P, seed: u64) -> Self {
        Self { env, seed, requests: AtomicU64::new(1), rng: Mutex::new(SmallRng::seed_from_u64(seed)) }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn is_fault_free(&self) -> bool {
        self.env.failures() == Failures::Forbidden
    }

    /// Returns a request id that is unique within this run.
    pub(super) fn request_id(&self) -> RequestId {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        RequestId::from_uuid(Uuid::from_u128((u128::from(self.seed) << 64) | u128::from(number)))
    }

    pub(super) fn random_below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.rng.lock().random_range(0..bound) }
    }

    pub(super) fn random_bool(&self, probability: f64) -> bool {
        self.rng.lock().random_bool(probability)
    }

    /// Returns a random element.
    pub(super) fn pick<'b, T>(&self, from: &'b [T]) -> &'b T {
        &from[self.random_below(from.len())]
    }

    /// Repeats an idempotent call until it succeeds.
    pub(super) async fn retry<T>(&self, what: &str, mut call: impl AsyncFnMut() -> PortResult<T>) -> T {
        for _ in 0..ATTEMPTS_MAX {
            match call().await {
                Ok(answer) => return answer,
                Err(error) if self.is_fault_free() || error.remedy() == Remedy::Operator => panic!("{what}: {error}"),
                Err(_) => yield_now().await,
            }
        }
        panic!("{what} failed {ATTEMPTS_MAX} times");
    }
}
