//! Wrappers that make any adapter fail in all the ways that its contract allows.
//!
//! A call has one of four outcomes: done; not done, and reported so; done, but reported as unknown; not done, and reported as
//! unknown. Where a contract allows parts, a part is done; where it allows that something still happens later, it happens later. A
//! [`FaultInjector`] chooses by its seed, so that the same seed and the same calls give the same lies.

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

pub use event_log::{FaultyConsumer, FaultyEventLog};
pub use event_store::FaultyEventStore;
pub use relay_state::FaultyRelayState;
pub use view_cache::FaultyViewCache;
pub use view_store::FaultyViewStore;

use crate::ports::{PortError, PortResult};

/// Decides who is lied to. Clones share the dice, the counters and the switches.
#[derive(Clone, Debug)]
pub struct FaultInjector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    seed: u64,
    probability: f64,
    dice: Mutex<SmallRng>,
    honest: AtomicBool,
    calls: AtomicU64,
    lies: AtomicU64,
    /// The number of the call in which the process dies; `u64::MAX` for never.
    dies_at: AtomicU64,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    NotDone,
    DoneUnreported,
    NotDoneUnreported,
}

impl FaultInjector {
    /// Lies in this share of calls, 0 to 1. The same seed lies the same way.
    #[must_use]
    pub fn new(seed: u64, probability: f64) -> Self {
        let shared = Shared {
            seed,
            probability,
            dice: Mutex::new(SmallRng::seed_from_u64(seed)),
            honest: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            lies: AtomicU64::new(0),
            dies_at: AtomicU64::new(u64::MAX),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Fails with one of several probabilities, chosen by the seed, so that consecutive seeds run with few faults and with many.
    #[must_use]
    pub fn with_one_of(seed: u64, probabilities: [f64; 3]) -> Self {
        let index = usize::try_from(seed % 3).unwrap_or_default();
        Self::new(seed, probabilities[index])
    }

    /// Tells the truth, until [`FaultInjector::crash_after`].
    #[must_use]
    pub fn crash_only(seed: u64) -> Self {
        Self::new(seed, 0.0)
    }

    /// The seed it was made with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// Stops faulty, also in calls that are under way and not decided yet.
    pub fn disable(&self) {
        self.shared.honest.store(true, Ordering::SeqCst);
    }

    /// Lies again.
    pub fn enable(&self) {
        self.shared.honest.store(false, Ordering::SeqCst);
    }

    /// How many calls it has seen.
    #[must_use]
    pub fn calls_count(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// How many lies it has told. A test that saw none has tested nothing.
    #[must_use]
    pub fn faults_count(&self) -> u64 {
        self.shared.lies.load(Ordering::SeqCst)
    }

    /// Lets the process die after this many more calls: they go as ever, the next one is under way when it happens and may or may not
    /// be done, and whatever is called after it is not done and fails as unknown. Honest or not makes no difference.
    pub fn crash_after(&self, calls: u64) {
        self.shared.dies_at.store(self.calls_count().saturating_add(calls), Ordering::SeqCst);
    }

    /// Whether the process has died.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.calls_count() > self.shared.dies_at.load(Ordering::SeqCst)
    }

    /// Starts the process again.
    pub fn restart(&self) {
        self.shared.dies_at.store(u64::MAX, Ordering::SeqCst);
    }

    fn fate(&self) -> Fate {
        let call = self.shared.calls.fetch_add(1, Ordering::SeqCst);
        let dies_at = self.shared.dies_at.load(Ordering::SeqCst);
        let fate = if call > dies_at {
            Fate::NotDoneUnreported
        } else if call == dies_at {
            if self.toss(0.5) { Fate::DoneUnreported } else { Fate::NotDoneUnreported }
        } else if !self.lies_now() {
            return Fate::Done;
        } else {
            [Fate::NotDone, Fate::DoneUnreported, Fate::NotDoneUnreported][self.below(3)]
        };
        self.count_lie();
        fate
    }

    /// Whether to play a trick that is not a failure, such as a repetition.
    fn plays_a_trick(&self) -> bool {
        let plays = !self.has_crashed() && self.lies_now();
        if plays {
            self.count_lie();
        }
        plays
    }

    fn lies_now(&self) -> bool {
        !self.shared.honest.load(Ordering::SeqCst) && self.toss(self.shared.probability)
    }

    fn count_lie(&self) {
        self.shared.lies.fetch_add(1, Ordering::SeqCst);
    }

    fn toss(&self, probability: f64) -> bool {
        self.shared.dice.lock().random_bool(probability)
    }

    /// A number below `bound`; 0 where that is 0.
    fn below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.shared.dice.lock().random_range(0..bound) }
    }

    /// Any part of what there is.
    fn some_of<T: Clone>(&self, all: &[T]) -> Vec<T> {
        all.iter().filter(|_| self.toss(0.5)).cloned().collect()
    }

    /// Makes a call that is done as a whole or not at all.
    async fn around<T>(&self, what: &str, call: impl Future<Output = PortResult<T>> + Send) -> PortResult<T> {
        match self.fate() {
            Fate::Done => call.await,
            Fate::NotDone => Err(self.not_done(what)),
            Fate::NotDoneUnreported => Err(self.unknown(what)),
            Fate::DoneUnreported => {
                call.await?;
                Err(self.unknown(what))
            }
        }
    }

    fn not_done(&self, what: &str) -> PortError {
        PortError::not_done(format!("{what} failed by faults with seed={}", self.seed()))
    }

    fn unknown(&self, what: &str) -> PortError {
        PortError::unknown(format!("{what} was interrupted by faults with seed={}", self.seed()))
    }
}

#[cfg(test)]
mod tests;
