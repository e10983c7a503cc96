//! Freshness rules of a single row. Pure functions.

use std::time::Duration;

use diptych_kernel::{Position, Timestamp, ports::CachedRow};

/// Returns the position up to which the row is current: it contains every event of its stream up to its own position,
/// and its stream has no event between that and `as_of`.
pub(crate) fn current_up_to(row: &CachedRow) -> Position {
    row.position.max(row.as_of)
}

/// Returns whether the row contains every event up to `required` that concerns it.
pub(crate) fn is_fresh(row: &CachedRow, required: Position) -> bool {
    current_up_to(row) >= required
}

/// Returns whether a cached row is so far behind its view's progress that a refresh of it may have been lost.
pub(crate) fn is_aged(row: &CachedRow, progress_as_of: Option<Timestamp>, age_max: Duration) -> bool {
    let age_max_micros = i64::try_from(age_max.as_micros()).unwrap_or(i64::MAX);
    progress_as_of.is_some_and(|now| row.as_of_time.plus_micros(age_max_micros) < now)
}

/// Returns the time of a cached row; `None` if the row was read before the first progress, which is stored as time 0.
pub(crate) fn as_of_time(row: &CachedRow) -> Option<Timestamp> {
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
    fn a_row_is_fresh_by_its_position_or_by_the_progress_at_its_read() {
        for (position, as_of, required, fresh) in
            [(0, 0, 0, true), (5, 5, 5, true), (5, 9, 9, true), (9, 5, 9, true), (5, 8, 9, false), (0, 0, 1, false)]
        {
            let required = Position::from_i64(required).unwrap();
            assert_eq!(is_fresh(&row(position, as_of, 0), required), fresh, "{position} {as_of} {required}");
        }
    }

    #[test]
    fn a_row_ages_by_the_write_databases_clock_only() {
        let age_max = Duration::from_micros(10);
        assert!(!is_aged(&row(1, 1, 100), Some(Timestamp::from_micros(110)), age_max));
        assert!(is_aged(&row(1, 1, 100), Some(Timestamp::from_micros(111)), age_max));
        assert!(!is_aged(&row(1, 1, 100), None, age_max));
        assert!(!is_aged(&row(1, 1, 100), Some(Timestamp::from_micros(i64::MAX)), Duration::MAX));
    }

    #[test]
    fn a_row_from_before_the_first_progress_has_no_time() {
        assert_eq!(as_of_time(&row(0, 0, 0)), None);
        assert_eq!(as_of_time(&row(0, 0, 7)), Some(Timestamp::from_micros(7)));
    }
}
