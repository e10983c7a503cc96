//! Write timestamps that are not times.
//!
//! A cell is resolved by its write timestamp: the larger one wins, and of equal ones the larger value, byte by byte. So what must never
//! go back gets its own number as its timestamp. ScyllaDB refuses what lies more than three days after the present in microseconds since
//! 1970 (about 1.8 * 10^15), which positions would reach within weeks. So 2^62 is taken off. -2^63, which stands for "no timestamp", is
//! never reached.
//!
//! So ScyllaDB takes every position up to 2^62 + the present + three days: those of the first 2^42 transactions (4.4 * 10^12, which are all
//! before 1970) at any time, and about 10^9 transactions more. Positions go on to 2^63 - 1, and what is beyond is refused with
//! an error that says what to do: where `restrict_future_timestamp` is false in `scylla.yaml`, all of them are taken. Cassandra takes them
//! as it is, and so a ScyllaDB must be set for the conformance suites, which write the largest position.

use diptych_kernel::Position;

/// What is taken off.
const ORIGIN: i64 = 1 << 62;

/// Of the cells of a row that has everything up to this position.
pub(crate) fn of_position(position: Position) -> i64 {
    // No position is below 0.
    position.as_i64() - ORIGIN
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn it_grows_with_the_position() {
        let at = |number| of_position(Position::from_i64(number).unwrap());
        let mut dice = SmallRng::seed_from_u64(1);
        for _ in 0..10_000 {
            let (one, other) = (dice.random_range(0..=i64::MAX), dice.random_range(0..=i64::MAX));
            assert_eq!(at(one).cmp(&at(other)), one.cmp(&other), "{one} and {other}");
        }
        for number in [0, 1, ORIGIN - 1, ORIGIN, i64::MAX - 1] {
            assert_eq!(at(number) + 1, at(number + 1));
        }
    }

    #[test]
    fn nothing_that_an_installation_reaches_is_in_the_future() {
        let last = Position::new((1 << 42) - 1, (1 << 20) - 1).unwrap();
        assert_eq!(of_position(last), -1);
        assert_eq!(of_position(Position::new(1 << 42, 0).unwrap()), 0);
        // As many transactions more as there are between 1970 and the present: 2026.
        let at_present = Position::new((1 << 42) + 1_600_000_000, 0).unwrap();
        assert!(of_position(at_present) < 1_767_225_600_000_000);
        assert!(of_position(Position::new((1 << 42) + 1_700_000_000, 0).unwrap()) > 1_767_225_600_000_000);
    }

    #[test]
    fn the_forbidden_value_is_never_used() {
        assert_eq!(of_position(Position::START), -(1 << 62));
        assert_eq!(of_position(Position::from_i64(i64::MAX).unwrap()), (1 << 62) - 1);
    }
}
