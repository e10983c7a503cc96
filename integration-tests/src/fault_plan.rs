//! Faults of one process, drawn at random.

use diptych_kernel::testing::faulty::FaultInjector;
use rand::{Rng, rngs::SmallRng};

/// Faults that are injected into a process during its life.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// Share of store calls that fail or misbehave, 0 to 1.
    pub faulty_calls_share: f64,
    /// Number of store calls after which the process crashes, if it does.
    pub crash_after_calls: Option<u64>,
}

impl FaultPlan {
    /// Draws a plan: no faults, faulty calls, a crash, or both.
    #[must_use]
    pub fn random(rng: &mut SmallRng) -> Self {
        let faulty_calls_share = *[0.0, 0.05, 0.2].get(rng.random_range(0..3)).unwrap();
        let crash_after_calls = rng.random_bool(0.6).then(|| rng.random_range(5..400));
        Self { faulty_calls_share, crash_after_calls }
    }

    /// Creates the injector that executes the plan.
    #[must_use]
    pub fn injector(&self, seed: u64) -> FaultInjector {
        let faults = FaultInjector::new(seed, self.faulty_calls_share);
        if let Some(calls) = self.crash_after_calls {
            faults.crash_after(calls);
        }
        faults
    }
}
