//! A steady rate. Whoever falls behind catches up.

use std::time::Duration;

use tokio::time::Instant;

/// When each command is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    started_at: Instant,
    rate_per_second: u64,
}

impl Schedule {
    /// So many per second, from now on.
    pub(crate) fn begin(rate_per_second: u64) -> Self {
        Self { started_at: Instant::now(), rate_per_second }
    }

    /// How long ago it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// How many commands are due after so long.
    pub(crate) fn due(&self, elapsed: Duration) -> u64 {
        let due = elapsed.as_micros() * u128::from(self.rate_per_second) / 1_000_000;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// When a command is due, from 0. Latencies count from here, so that a command that waited for its turn shows it.
    pub(crate) fn planned_at(&self, command: u64) -> Instant {
        let micros = ((u128::from(command) + 1) * 1_000_000).div_ceil(u128::from(self.rate_per_second.max(1)));
        self.started_at + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_due_at_the_rate() {
        let schedule = Schedule { started_at: Instant::now(), rate_per_second: 2_000 };
        assert_eq!(schedule.due(Duration::from_micros(499)), 0);
        assert_eq!(schedule.due(Duration::from_millis(1)), 2);
        assert_eq!(schedule.due(Duration::from_secs(10)), 20_000);
        assert_eq!(schedule.planned_at(3) - schedule.started_at, Duration::from_micros(2_000));
    }

    #[test]
    fn a_command_is_planned_for_the_moment_when_it_is_due() {
        for rate_per_second in [1, 3, 200, 1_000, 7_777] {
            let schedule = Schedule { started_at: Instant::now(), rate_per_second };
            for command in [0, 1, 6, 1_999] {
                let planned = schedule.planned_at(command) - schedule.started_at;
                let just_before = planned.saturating_sub(Duration::from_micros(1));
                assert_eq!(
                    (schedule.due(just_before), schedule.due(planned)),
                    (command, command + 1),
                    "{rate_per_second}/s"
                );
            }
        }
    }
}
