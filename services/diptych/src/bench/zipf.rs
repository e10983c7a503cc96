//! Random ranks by Zipf's law.

use rand::Rng;

/// Distribution of ranks from 0, where rank k has a weight of 1 / (k + 1)^exponent.
#[derive(Debug)]
pub(super) struct Zipf {
    /// Sum of the weights up to each rank.
    cumulative: Vec<f64>,
}

impl Zipf {
    /// Creates a distribution of this number of ranks, at least one. An exponent of 0 gives all the same weight.
    pub(super) fn new(ranks_count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut rank = 0.0_f64;
        let mut next = || {
            rank += 1.0;
            sum += rank.powf(-exponent);
            sum
        };
        Self { cumulative: (0..ranks_count.max(1)).map(|_| next()).collect() }
    }

    /// Draws a rank.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> usize {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let drawn = rng.random::<f64>() * total;
        self.cumulative.partition_point(|sum| *sum <= drawn).min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    fn counts(ranks_count: usize, exponent: f64) -> Vec<usize> {
        let (zipf, mut rng) = (Zipf::new(ranks_count, exponent), SmallRng::seed_from_u64(1));
        let mut counts = vec![0; ranks_count];
        (0..10_000).for_each(|_| counts[zipf.draw(&mut rng)] += 1);
        counts
    }

    #[test]
    fn the_first_ranks_are_drawn_most() {
        let counts = counts(1_000, 1.5);
        // 1 / zeta(1.5) is 0.38.
        assert!((3_500..4_300).contains(&counts[0]), "{}", counts[0]);
        assert!(counts[0] > 2 * counts[1] && counts[1] > counts[2]);
    }

    #[test]
    fn an_exponent_of_zero_draws_all_ranks_alike() {
        assert!(counts(4, 0.0).iter().all(|count| (2_300..2_700).contains(count)));
        assert_eq!(counts(1, 1.5), [10_000]);
    }
}
