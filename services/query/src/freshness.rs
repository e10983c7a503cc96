//! Whether a row will do. Pure.

use std::time::Duration;

use diptych_kernel::{Position, Timestamp, ports::CachedRow};

/// Up to where the row is right: it has every event of its stream up to its own position, and nothing of its stream happened between that
/// and `as_of`.
pub(crate) fn right_up_to(row: &CachedRow) -> Position {
    row.position.max(row.as_of)
}

/// Whether the row has everything that concerns it up to `required`.
pub(crate) fn is_fresh(row: &CachedRow, required: Position) -> bool {
    right_up_to(row) >= required
}

/// Whether a cached row has stayed so far behind its view's progress that its refresh may have been lost.
pub(crate) fn is_aged(row: &CachedRow, progress_as_of: Option<Timestamp>, age_max: Duration) -> bool {
    let age_max_micros = i64::try_from(age_max.as_micros()).unwrap_or(i64::MAX);
    progress_as_of.is_some_and(|now| row.as_of_time.plus_micros(age_max_micros) < now)
}

/// The time of a cached row. The time 0 stands for none: the row was read before the first progress.
pub(crate) fn time_of(row: &CachedRow) -> Option<Timestamp> {
    (row.as_of_time > Timestamp::default()).then_some(row.as_of_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: i64, as_of: i64, time: i64) -> CachedRow {
        CachedRow {
            position: Position::from_i64(position).unwrap(),
            as_of: Position::from_i64(as_of).unwrap(),
            as_of_time: Timestamp::from_micros(time),
            body: None,
        }
    }

    #[test]
    fn a_row_is_fresh_by_its_position_or_by_when_it_was_read() {
        for (position, as_of, required, fresh) in
            [(0, 0, 0, true), (5, 5, 5, true), (5, 9, 9, true), (9, 5, 9, true), (5, 8, 9, false), (0, 0, 1, false)]
        {
            let required = Position::from_i64(required).unwrap();
            assert_eq!(is_fresh(&row(position, as_of, 0), required), fresh, "{position} {as_of} {required}");
        }
    }

    #[test]
    fn a_row_is_aged_by_the_time_of_the_write_database_only() {
        let age_max = Duration::from_micros(10);
        assert!(!is_aged(&row(1, 1, 100), Some(Timestamp::from_micros(110)), age_max));
        assert!(is_aged(&row(1, 1, 100), Some(Timestamp::from_micros(111)), age_max));
        assert!(!is_aged(&row(1, 1, 100), None, age_max));
        assert!(!is_aged(&row(1, 1, 100), Some(Timestamp::from_micros(i64::MAX)), Duration::MAX));
    }

    #[test]
    fn a_row_from_before_the_first_progress_has_no_time() {
        assert_eq!(time_of(&row(0, 0, 0)), None);
        assert_eq!(time_of(&row(0, 0, 7)), Some(Timestamp::from_micros(7)));
    }
}
