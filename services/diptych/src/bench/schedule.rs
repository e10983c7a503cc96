//! A schedule with a fixed rate. Calls that were delayed are due at once, so the rate is made up for.

use std::time::Duration;

use tokio::time::Instant;

/// The times at which the calls of a fixed rate are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    started_at: Instant,
    rate_per_second: u64,
}

impl Schedule {
    /// Starts a schedule now.
    pub(crate) fn start(rate_per_second: u64) -> Self {
        Self { started_at: Instant::now(), rate_per_second }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// The number of calls that are due after this time.
    pub(crate) fn due_count(&self, elapsed: Duration) -> u64 {
        let due = elapsed.as_micros() * u128::from(self.rate_per_second) / 1_000_000;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// The time at which a call is due, by its number from 0. Latencies count from here, so that they include the time
    /// that a call had to wait in the client.
    pub(crate) fn due_at(&self, call: u64) -> Instant {
        let micros = ((u128::from(call) + 1) * 1_000_000).div_ceil(u128::from(self.rate_per_second.max(1)));
        self.started_at + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_at_the_rate() {
        let schedule = Schedule { started_at: Instant::now(), rate_per_second: 2_000 };
        assert_eq!(schedule.due_count(Duration::from_micros(499)), 0);
        assert_eq!(schedule.due_count(Duration::from_millis(1)), 2);
        assert_eq!(schedule.due_count(Duration::from_secs(10)), 20_000);
        assert_eq!(schedule.due_at(3) - schedule.started_at, Duration::from_micros(2_000));
    }

    #[test]
    fn a_call_is_counted_as_due_from_the_time_at_which_it_is_due() {
        for rate_per_second in [1, 3, 200, 1_000, 7_777] {
            let schedule = Schedule { started_at: Instant::now(), rate_per_second };
            for call in [0, 1, 6, 1_999] {
                let due_after = schedule.due_at(call) - schedule.started_at;
                let just_before = due_after.saturating_sub(Duration::from_micros(1));
                assert_eq!(
                    (schedule.due_count(just_before), schedule.due_count(due_after)),
                    (call, call + 1),
                    "{rate_per_second}/s"
                );
            }
        }
    }
}
