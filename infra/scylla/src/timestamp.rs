//! Write timestamps made from positions.
//!
//! Conflicting writes of a cell are resolved by write timestamp: the larger one wins, and of equal ones the larger
//! value, byte by byte. So a value that must never go back is written with its position as the timestamp. ScyllaDB
//! refuses timestamps more than three days after the present, in microseconds since 1970 (about 1.8 * 10^15), which
//! positions would reach within weeks. So 2^62 is subtracted. -2^63, which means "no timestamp", is never reached.
//!
//! So ScyllaDB accepts every position up to 2^62 + the present + three days: those of the first 2^42 transactions
//! (4.4 * 10^12, whose timestamps are before 1970) at any time, and those of about 10^9 more. Positions reach 2^63 - 1,
//! and larger ones are refused with an error that names the remedy: with `restrict_future_timestamp: false` in
//! `scylla.yaml` all are accepted. Cassandra accepts all of them. A ScyllaDB for the conformance suites, which write
//! the largest position, needs that setting.

use diptych_kernel::Position;

/// The position whose timestamp is 0.
const ORIGIN: i64 = 1 << 62;

/// The write timestamp of the cells of a row at this position.
pub(crate) fn of_position(position: Position) -> i64 {
    // Positions are not negative, so this does not overflow.
    position.as_i64() - ORIGIN
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn timestamps_grow_with_positions() {
        let at = |number| of_position(Position::from_i64(number).unwrap());
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..10_000 {
            let (one, other) = (rng.random_range(0..=i64::MAX), rng.random_range(0..=i64::MAX));
            assert_eq!(at(one).cmp(&at(other)), one.cmp(&other), "{one} and {other}");
        }
        for number in [0, 1, ORIGIN - 1, ORIGIN, i64::MAX - 1] {
            assert_eq!(at(number) + 1, at(number + 1));
        }
    }

    #[test]
    fn reachable_positions_are_not_in_the_future() {
        let last = Position::new((1 << 42) - 1, (1 << 20) - 1).unwrap();
        assert_eq!(of_position(last), -1);
        assert_eq!(of_position(Position::new(1 << 42, 0).unwrap()), 0);
        // More transactions, up to the present: 2026.
        let at_present = Position::new((1 << 42) + 1_600_000_000, 0).unwrap();
        assert!(of_position(at_present) < 1_767_225_600_000_000);
        assert!(of_position(Position::new((1 << 42) + 1_700_000_000, 0).unwrap()) > 1_767_225_600_000_000);
    }

    #[test]
    fn the_reserved_timestamp_is_never_used() {
        assert_eq!(of_position(Position::START), -(1 << 62));
        assert_eq!(of_position(Position::from_i64(i64::MAX).unwrap()), (1 << 62) - 1);
    }
}
