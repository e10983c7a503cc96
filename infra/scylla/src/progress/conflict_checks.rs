//! Decides when a save must check for a conflicting save.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Validity of the check of a partition without parked streams.
const CHECK_VALID_FOR: Duration = Duration::from_secs(1);

/// The last conflict check of each partition.
///
/// A check finds a save of another process at the same position whose clock is ahead: it supersedes ours. If either
/// save has a list of parked streams, that must be known before ours is acknowledged. Otherwise only `as_of` of a
/// partition without new events is affected, and that may wait for the next check.
#[derive(Default)]
pub(super) struct ConflictChecks {
    by_partition: Mutex<HashMap<i16, ConflictCheck>>,
}

struct ConflictCheck {
    checked_at: Instant,
    /// The save of this check had parked streams, so the next save must check too.
    has_parked: bool,
}

impl ConflictChecks {
    /// Returns whether a save in this partition must check for conflicts.
    pub(super) fn is_due(&self, partition: i16, has_parked: bool, now: Instant) -> bool {
        let by_partition = self.by_partition.lock();
        let is_valid = |check: &ConflictCheck| {
            !check.has_parked && now.saturating_duration_since(check.checked_at) < CHECK_VALID_FOR
        };
        has_parked || !by_partition.get(&partition).is_some_and(is_valid)
    }

    /// Records a save that was checked and is stored.
    pub(super) fn record(&self, partition: i16, has_parked: bool, now: Instant) {
        self.by_partition.lock().insert(partition, ConflictCheck { checked_at: now, has_parked });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_valid_for_a_while_unless_streams_are_parked() {
        let (checks, start) = (ConflictChecks::default(), Instant::now());
        let is_due = |partition, has_parked, at| checks.is_due(partition, has_parked, at);
        assert!(is_due(1, false, start), "the first save");
        checks.record(1, false, start);
        assert!(!is_due(1, false, start + CHECK_VALID_FOR / 2));
        assert!(is_due(2, false, start), "another partition");
        assert!(is_due(1, false, start + CHECK_VALID_FOR), "the check is too old");
        assert!(is_due(1, true, start), "streams are parked");
        checks.record(1, true, start);
        assert!(is_due(1, false, start), "streams are no longer parked");
        checks.record(1, false, start);
        assert!(!is_due(1, false, start));
    }
}
