//! Watch over the system clock: warnings and metrics where it disagrees with the stored times.

use std::{sync::Arc, time::Duration};

use diptych_embedded::{ClockComparison, EmbeddedEventStore};
use diptych_kernel::ports::PortResult;
use diptych_runtime::{Shutdown, pause};
use metrics::{Unit, describe_gauge, gauge};
use tracing::warn;

const CLOCK_BEHIND_SECONDS: &str = "diptych_dev_clock_behind_seconds";
const RETENTION_LAG_SECONDS: &str = "diptych_dev_request_id_retention_lag_seconds";

const INTERVAL: Duration = Duration::from_secs(30);
/// Time behind the newest event that is warned about. Time services set a clock back by less.
const BEHIND_MIN: Duration = Duration::from_secs(5);
/// Jump ahead since the last run that is warned about. Shorter ones are usual downtimes.
const JUMP_BETWEEN_RUNS_MIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Jump ahead while running that is warned about.
const JUMP_MIN: Duration = Duration::from_secs(60);

/// Watch over the system clock.
pub(super) struct ClockWatch {
    events: Arc<EmbeddedEventStore>,
    is_behind: bool,
}

impl ClockWatch {
    /// Compares the clock for the first time, before commands are accepted.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub(super) async fn start(events: &Arc<EmbeddedEventStore>) -> PortResult<Self> {
        describe_gauge!(
            CLOCK_BEHIND_SECONDS,
            Unit::Seconds,
            "Time by which the system clock is behind the newest event of the data folder, in seconds; 0 if it is not"
        );
        describe_gauge!(
            RETENTION_LAG_SECONDS,
            Unit::Seconds,
            "Time by which request ids are kept longer, as no process ran or the clock was set ahead, in seconds"
        );
        let mut watch = Self { events: Arc::clone(events), is_behind: false };
        let comparison = events.compare_clock().await?;
        if comparison.jumped_ahead >= JUMP_BETWEEN_RUNS_MIN {
            warn!(
                ahead_seconds = comparison.jumped_ahead.as_secs(),
                "the system clock is far ahead of the last run on this folder: if it is wrong, stop, set it, and start \
                 again; no request id was forgotten for it"
            );
        }
        watch.report(comparison);
        Ok(watch)
    }

    /// Compares the clock again and again, until shutdown.
    pub(super) async fn run(&mut self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.begun() => return,
                () = pause(INTERVAL) => {}
            }
            match self.events.compare_clock().await {
                Ok(comparison) => {
                    if comparison.jumped_ahead >= JUMP_MIN {
                        let ahead_seconds = comparison.jumped_ahead.as_secs();
                        warn!(ahead_seconds, "the system clock was set ahead, or the machine was suspended");
                    }
                    self.report(comparison);
                }
                Err(error) => warn!(%error, "cannot compare the clock, retrying"),
            }
        }
    }

    fn report(&mut self, comparison: ClockComparison) {
        let ClockComparison { behind_newest_event, retention_lag, .. } = comparison;
        gauge!(CLOCK_BEHIND_SECONDS).set(behind_newest_event.as_secs_f64());
        gauge!(RETENTION_LAG_SECONDS).set(retention_lag.as_secs_f64());
        let is_behind = behind_newest_event >= BEHIND_MIN;
        if is_behind && !self.is_behind {
            warn!(
                behind_seconds = behind_newest_event.as_secs(),
                "the system clock is behind the newest event: new events get that event's time until the clock has passed \
                 it; if the clock is wrong, set it"
            );
        }
        self.is_behind = is_behind;
    }
}
