//! What the suites share.

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

/// How often something is asked again before a suite gives up. A liar does not lie that often in a row.
pub(super) const ATTEMPTS_MAX: usize = 1_000;

/// How long a suite waits for what an adapter must not sleep through.
pub(super) const BOUND: Duration = Duration::from_secs(20);

/// Seeds that a randomized test runs with: 0 to `default_count`, or 0 to `DIPTYCH_SEEDS`, or the single seed `DIPTYCH_SEED`.
///
/// # Panics
/// When one of the variables is set and is not a number.
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

/// Prints the seed when the test inside fails.
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

/// Lets other futures of the same task go on.
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

/// Runs a future that waits for nothing outside itself, without a runtime.
///
/// # Panics
/// When it still waits after a million polls.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("the future waits for something that does not come");
}

/// One run of a suite.
pub(super) struct Trial<'a, P> {
    pub(super) env: &'a P,
    seed: u64,
    requests: AtomicU64,
    dice: Mutex<SmallRng>,
}

impl<'a, P: TestEnv> Trial<'a, P> {
    pub(super) fn new(env: &'a P, seed: u64) -> Self {
        Self { env, seed, requests: AtomicU64::new(1), dice: Mutex::new(SmallRng::seed_from_u64(seed)) }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn is_honest(&self) -> bool {
        self.env.failures() == Failures::Forbidden
    }

    /// A request id that no other call of this run gives.
    pub(super) fn request_id(&self) -> RequestId {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        RequestId::from_uuid(Uuid::from_u128((u128::from(self.seed) << 64) | u128::from(number)))
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.dice.lock().random_range(0..bound) }
    }

    pub(super) fn chance(&self, probability: f64) -> bool {
        self.dice.lock().random_bool(probability)
    }

    /// One of several.
    pub(super) fn pick<'b, T>(&self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    /// Asks until there is an answer: for what can be asked twice.
    pub(super) async fn ask<T>(&self, what: &str, mut call: impl AsyncFnMut() -> PortResult<T>) -> T {
        for _ in 0..ATTEMPTS_MAX {
            match call().await {
                Ok(answer) => return answer,
                Err(error) if self.is_honest() || error.remedy() == Remedy::Operator => panic!("{what}: {error}"),
                Err(_) => yield_now().await,
            }
        }
        panic!("{what} failed {ATTEMPTS_MAX} times");
    }
}
