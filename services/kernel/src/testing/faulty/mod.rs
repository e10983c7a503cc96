//! Fault-injecting wrappers: make any adapter fail in every way that its contract allows.
//!
//! Each call has one of four outcomes: done; not done, and reported as such; done, but reported as unknown; not done,
//! but reported as unknown. If the contract allows partial effects, only a part is done; if it allows late effects, a
//! call can take effect later. A [`FaultInjector`] chooses the outcomes from its seed: the same seed and the same calls
//! give the same faults.

mod command_queue_state;
mod event_log;
mod event_store;
mod relay_state;
mod view_cache;
mod view_store;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};

pub use command_queue_state::FaultyCommandQueueState;
pub use event_log::{FaultyConsumer, FaultyEventLog};
pub use event_store::FaultyEventStore;
pub use relay_state::FaultyRelayState;
pub use view_cache::FaultyViewCache;
pub use view_store::FaultyViewStore;

use crate::ports::{PortError, PortResult};

/// Decides which calls fail, and how. Clones share the random generator, the counters and the switches.
#[derive(Clone, Debug)]
pub struct FaultInjector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    probability: f64,
    rng: Mutex<SmallRng>,
    is_disabled: AtomicBool,
    calls: AtomicU64,
    faults: AtomicU64,
    /// The number of the call during which the process crashes; `u64::MAX` for never.
    crash_at_call: AtomicU64,
}

/// Outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallOutcome {
    /// Done, and reported as such.
    Done,
    /// Not done, and reported as such.
    NotDone,
    /// Done, but reported as unknown.
    DoneUnreported,
    /// Not done, but reported as unknown.
    NotDoneUnreported,
}

impl FaultInjector {
    /// Creates an injector that fails calls with this probability, 0 to 1. The same seed gives the same faults.
    #[must_use]
    pub fn new(seed: u64, probability: f64) -> Self {
        let shared = Shared {
            seed,
            probability,
            rng: Mutex::new(SmallRng::seed_from_u64(seed)),
            is_disabled: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            crash_at_call: AtomicU64::new(u64::MAX),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Creates an injector with one of several probabilities, chosen by the seed, so that consecutive seeds run with
    /// few and many faults.
    #[must_use]
    pub fn with_one_of(seed: u64, probabilities: [f64; 3]) -> Self {
        let index = usize::try_from(seed % 3).unwrap_or_default();
        Self::new(seed, probabilities[index])
    }

    /// Creates an injector without faults except those of [`FaultInjector::crash_after`].
    #[must_use]
    pub fn crash_only(seed: u64) -> Self {
        Self::new(seed, 0.0)
    }

    /// Returns the seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Stops injecting faults, also into calls that are in progress and whose outcome is not decided yet.
    pub fn disable(&self) {
        self.shared.is_disabled.store(true, Ordering::SeqCst);
    }

    /// Injects faults again.
    pub fn enable(&self) {
        self.shared.is_disabled.store(false, Ordering::SeqCst);
    }

    /// Returns the number of intercepted calls.
    #[must_use]
    pub fn calls_count(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Returns the number of injected faults. A test without faults has tested nothing.
    #[must_use]
    pub fn faults_count(&self) -> u64 {
        self.shared.faults.load(Ordering::SeqCst)
    }

    /// Simulates a crash of the process after `calls` more calls, which are handled as before. The next call is in
    /// progress at the crash and may or may not be done; every later call is not done. All of them are reported as
    /// unknown. Applies even while faults are disabled.
    pub fn crash_after(&self, calls: u64) {
        self.shared.crash_at_call.store(self.calls_count().saturating_add(calls), Ordering::SeqCst);
    }

    /// Returns whether the simulated crash has happened.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.calls_count() > self.shared.crash_at_call.load(Ordering::SeqCst)
    }

    /// Simulates a restart of the process after a crash.
    pub fn restart(&self) {
        self.shared.crash_at_call.store(u64::MAX, Ordering::SeqCst);
    }

    fn next_outcome(&self) -> CallOutcome {
        let call = self.shared.calls.fetch_add(1, Ordering::SeqCst);
        let crash_at_call = self.shared.crash_at_call.load(Ordering::SeqCst);
        let call_outcome = if call > crash_at_call {
            CallOutcome::NotDoneUnreported
        } else if call == crash_at_call {
            if self.random_bool(0.5) { CallOutcome::DoneUnreported } else { CallOutcome::NotDoneUnreported }
        } else if !self.draws_fault() {
            return CallOutcome::Done;
        } else {
            [CallOutcome::NotDone, CallOutcome::DoneUnreported, CallOutcome::NotDoneUnreported][self.random_below(3)]
        };
        self.count_fault();
        call_outcome
    }

    /// Decides whether to inject an anomaly that is not an error, such as a spurious wake-up or an eviction.
    fn injects_anomaly(&self) -> bool {
        let is_injected = !self.has_crashed() && self.draws_fault();
        if is_injected {
            self.count_fault();
        }
        is_injected
    }

    fn draws_fault(&self) -> bool {
        !self.shared.is_disabled.load(Ordering::SeqCst) && self.random_bool(self.shared.probability)
    }

    fn count_fault(&self) {
        self.shared.faults.fetch_add(1, Ordering::SeqCst);
    }

    fn random_bool(&self, probability: f64) -> bool {
        self.shared.rng.lock().random_bool(probability)
    }

    /// Returns a random number below `bound`, or 0 if `bound` is 0.
    fn random_below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.shared.rng.lock().random_range(0..bound) }
    }

    /// Returns a random subset, in order.
    fn random_subset<T: Clone>(&self, all: &[T]) -> Vec<T> {
        all.iter().filter(|_| self.random_bool(0.5)).cloned().collect()
    }

    /// Runs a call that is either done as a whole or not at all.
    async fn intercept<T>(&self, what: &str, call: impl Future<Output = PortResult<T>> + Send) -> PortResult<T> {
        match self.next_outcome() {
            CallOutcome::Done => call.await,
            CallOutcome::NotDone => Err(self.not_done(what)),
            CallOutcome::NotDoneUnreported => Err(self.unknown(what)),
            CallOutcome::DoneUnreported => {
                call.await?;
                Err(self.unknown(what))
            }
        }
    }

    fn not_done(&self, what: &str) -> PortError {
        PortError::not_done(format!("{what} failed by fault injection, seed={}", self.seed()))
    }

    fn unknown(&self, what: &str) -> PortError {
        PortError::unknown(format!("{what} was interrupted by fault injection, seed={}", self.seed()))
    }
}

#[cfg(test)]
mod tests;
