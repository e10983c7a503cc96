//! Clocks, and the one sleep function of the product.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use diptych_kernel::{Clock, Timestamp};
use tokio::time::Instant;

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        // A clock before 1970 reads as 1970: nothing is ordered by it, so this is better than an error.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        FIRST_CALL.elapsed()
    }
}

/// Start of the monotonic time of [`SystemClock`].
static FIRST_CALL: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A clock that advances with tokio's: paused when that is paused, so that tests are repeatable to the microsecond.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: Timestamp,
    started_at: Instant,
}

impl TokioClock {
    /// A clock that shows `start` now.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, started_at: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.started_at.elapsed().as_micros();
        self.start.plus_micros(i64::try_from(elapsed).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started_at.elapsed()
    }
}

/// Sleeps. To wait for an event, wait for the event instead of polling with this.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokio_clock_moves_only_with_tokio() {
        let clock = TokioClock::starting_at(Timestamp::from_micros(5));
        assert_eq!(clock.now(), Timestamp::from_micros(5));
        pause(Duration::from_millis(3)).await;
        assert_eq!(clock.now(), Timestamp::from_micros(3_005));
    }

    #[test]
    fn system_clock_shows_this_century() {
        let year_2020 = Timestamp::from_micros(1_577_836_800_000_000);
        let year_2200 = Timestamp::from_micros(7_258_118_400_000_000);
        assert!((year_2020..year_2200).contains(&SystemClock.now()));
    }
}
