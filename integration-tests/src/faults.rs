//! What goes wrong, drawn from a seed.

use diptych_kernel::testing::faulty::FaultInjector;
use rand::{Rng, rngs::SmallRng};

/// How a process is treated during its life.
#[derive(Clone, Debug)]
pub struct Fault {
    /// In what share of calls the stores lie.
    pub lies_share: f64,
    /// After how many calls of stores the process dies, if it does.
    pub dies_after: Option<u64>,
}

impl Fault {
    /// Any of: quiet, faulty, dying, and both.
    #[must_use]
    pub fn draw(dice: &mut SmallRng) -> Self {
        let lies_share = *[0.0, 0.05, 0.2].get(dice.random_range(0..3)).unwrap();
        let dies_after = dice.random_bool(0.6).then(|| dice.random_range(5..400));
        Self { lies_share, dies_after }
    }

    /// The liar that does it.
    #[must_use]
    pub fn faults(&self, seed: u64) -> FaultInjector {
        let faults = FaultInjector::new(seed, self.lies_share);
        if let Some(calls) = self.dies_after {
            faults.crash_after(calls);
        }
        faults
    }
}
