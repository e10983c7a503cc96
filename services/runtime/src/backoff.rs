//! Backoff: the delays between retries.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Delays between retries: exponential with "equal jitter", so that callers that failed together do not retry together,
/// and none retries early (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
///
/// The nth delay since the last [`Backoff::reset`] is drawn uniformly from the upper half of `0 ..= min * 2^n`; with
/// `max` in place of `min * 2^n` once that is larger, and never below `min`.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
    random: SmallRng,
}

impl Backoff {
    /// Delays from `min` to `max`; a `max` below `min` counts as `min`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        // Every RandomState has other keys: random enough to spread retries.
        Self::seeded(min, max, RandomState::new().build_hasher().finish())
    }

    /// The same with a seed: equal seeds give equal delays.
    #[must_use]
    pub fn seeded(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max: max.max(min), ceiling: min, random: SmallRng::seed_from_u64(seed) }
    }

    /// The delay before the next retry.
    pub fn next_delay(&mut self) -> Duration {
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        self.random.random_range(self.min.max(self.ceiling / 2)..=self.ceiling)
    }

    /// Starts again from `min`, after a success.
    pub fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_secs(1);

    #[test]
    fn delays_grow_within_their_bounds() {
        for seed in 0..100 {
            let mut backoff = Backoff::seeded(MIN, MAX, seed);
            for (number, exponent) in (1..=20_u32).enumerate() {
                let delay = backoff.next_delay();
                let ceiling = MIN.saturating_mul(2_u32.pow(exponent)).min(MAX);
                let floor = MIN.max(ceiling / 2);
                assert!((floor..=ceiling).contains(&delay), "seed {seed}, delay {number}: {delay:?}");
            }
            backoff.reset();
            assert!(backoff.next_delay() <= MIN * 2, "seed {seed}");
        }
    }

    #[test]
    fn delays_are_spread() {
        let mut delays: Vec<_> = (0..64)
            .map(|_| {
                let mut backoff = Backoff::new(MIN, MAX);
                (0..8).map(|_| backoff.next_delay()).last()
            })
            .collect();
        delays.sort_unstable();
        delays.dedup();
        assert!(delays.len() > 32, "64 callers chose {} different delays", delays.len());
    }

    #[test]
    fn a_max_below_min_counts_as_min() {
        let mut backoff = Backoff::new(MAX, MIN);
        assert_eq!(backoff.next_delay(), MAX);
    }
}
