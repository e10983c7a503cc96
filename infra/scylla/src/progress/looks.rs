//! When a save has to look at what is there.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a look at a partition lasts, where nothing depends on it.
const LASTS: Duration = Duration::from_secs(1);

/// The last looks at partitions.
///
/// What a look finds out is that the clock of another process, which has saved the same position, is ahead: ours is overruled then. Where it was
/// about a list of parked streams, on either side of a save, that must be known before the save is acknowledged. Otherwise only the time
/// of a partition in which nothing happens is at stake, and it may wait for the next look.
#[derive(Default)]
pub(super) struct Looks {
    of_partitions: Mutex<HashMap<i16, Look>>,
}

struct Look {
    at: Instant,
    /// Whether streams were parked in what was saved then: who saves them always looks.
    has_parked: bool,
}

impl Looks {
    /// Whether a save in this partition has to look.
    pub(super) fn is_due(&self, partition: i16, has_parked: bool, now: Instant) -> bool {
        let of_partitions = self.of_partitions.lock();
        let is_good = |look: &Look| !look.has_parked && now.saturating_duration_since(look.at) < LASTS;
        has_parked || !of_partitions.get(&partition).is_some_and(is_good)
    }

    /// A save that has looked is done.
    pub(super) fn note(&self, partition: i16, has_parked: bool, now: Instant) {
        self.of_partitions.lock().insert(partition, Look { at: now, has_parked });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_lasts_for_a_while_unless_streams_are_parked() {
        let (looks, begin) = (Looks::default(), Instant::now());
        let is_due = |partition, has_parked, at| looks.is_due(partition, has_parked, at);
        assert!(is_due(1, false, begin), "the first save");
        looks.note(1, false, begin);
        assert!(!is_due(1, false, begin + LASTS / 2));
        assert!(is_due(2, false, begin), "another partition");
        assert!(is_due(1, false, begin + LASTS), "it is too long ago");
        assert!(is_due(1, true, begin), "streams are parked");
        looks.note(1, true, begin);
        assert!(is_due(1, false, begin), "streams are parked no more");
        looks.note(1, false, begin);
        assert!(!is_due(1, false, begin));
    }
}
