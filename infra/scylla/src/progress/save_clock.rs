//! A strictly increasing clock for saves.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Issues times in microseconds since 1970, each larger than the one before.
#[derive(Default)]
pub(super) struct SaveClock {
    last: AtomicI64,
}

impl SaveClock {
    /// The present time, or later if needed to be later than `other` and all times issued before.
    pub(super) fn next_after(&self, other: i64) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let now = i64::try_from(now).unwrap_or(i64::MAX).max(other.saturating_add(1));
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        if now > last { now } else { self.last.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}
