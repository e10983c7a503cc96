//! Freshness rules of a single row. Pure functions.

use std::time::Duration;

use diptych_kernel::{Position, Timestamp, ports::CachedRow};

/// Returns whether the row contains every event up to `required` that concerns it: its stream has no event between the
/// row's position and `current_up_to`.
pub(crate) fn is_fresh(row: &CachedRow, required: Position) -> bool {
    row.current_up_to >= required
}

/// Returns whether a cached row is so far behind its view's progress that a refresh of it may have been lost.
pub(crate) fn is_aged(row: &CachedRow, progress_as_of: Option<Timestamp>, age_max: Duration) -> bool {
    let age_max_micros = i64::try_from(age_max.as_micros()).unwrap_or(i64::MAX);
    progress_as_of.is_some_and(|now| row.as_of.plus_micros(age_max_micros) < now)
}

/// Returns the time of a cached row; `None` if the row was read before the first progress, which is stored as time 0.
pub(crate) fn known_as_of(row: &CachedRow) -> Option<Timestamp> {
    (row.as_of > Timestamp::default()).then_some(row.as_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: i64, current_up_to: i64, as_of: i64) -> CachedRow {
        CachedRow {
            position: Position::from_i64(position).unwrap(),
            current_up_to: Position::from_i64(current_up_to).unwrap(),
            as_of: Timestamp::from_micros(as_of),
            body: None,
        }
    }

    #[test]
    fn a_row_is_fresh_by_its_position_or_by_the_progress_at_its_read() {
        for (position, current_up_to, required, fresh) in
            [(0, 0, 0, true), (5, 5, 5, true), (5, 9, 9, true), (9, 9, 9, true), (5, 8, 9, false), (0, 0, 1, false)]
        {
            let required = Position::from_i64(required).unwrap();
            assert_eq!(
                is_fresh(&row(position, current_up_to, 0), required),
                fresh,
                "{position} {current_up_to} {required}"
            );
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
        assert_eq!(known_as_of(&row(0, 0, 0)), None);
        assert_eq!(known_as_of(&row(0, 0, 7)), Some(Timestamp::from_micros(7)));
    }
}
