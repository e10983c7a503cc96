//! Time by which request ids age, and comparison of the clock of this process with that of the server.
//!
//! A request id that is forgotten too early makes a repeated command take effect twice, so no single clock may age it.
//! Ids age by the retention time, which the database stores. It follows the server's time, but is advanced at most by
//! the time that really passed in a process: a clock that is set ahead, that of a process or that of the server,
//! forgets nothing. Ids are kept longer by the time in which no process ran.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{Clock, Timestamp};
use parking_lot::Mutex;

use crate::{
    driver::{Session, SqlRow, StatementError, Time},
    metrics::RetentionMetrics,
};

const ADVANCE_RETENTION: &str = include_str!("../../queries/requests/advance_retention.sql");

/// Difference between the clocks of this process and of the server from which on it is warned about.
const DIFFERENCE_MIN: Duration = Duration::from_secs(60);
/// Time by which ids are kept longer from which on it is warned about; shorter downtimes are usual.
const LAG_MIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Retention time of one handle.
pub(super) struct RetentionClock {
    clock: Arc<dyn Clock>,
    metrics: RetentionMetrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The retention time at the last call, and the monotonic time then. Time is counted from this, not from the stored
    /// retention time, which another process may have advanced by the same period.
    last: Option<(Timestamp, Duration)>,
    is_difference_logged: bool,
    is_lag_logged: bool,
}

impl RetentionClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, metrics: RetentionMetrics::new(), state: Mutex::default() }
    }

    /// Advances the stored retention time. Returns the time before which requests are forgotten, for a caller that
    /// forgets those recorded before `recorded_before` by the clock of this process; `None` if there are no events.
    pub(super) async fn advance(
        &self,
        session: &mut Session,
        recorded_before: Timestamp,
    ) -> Result<Option<Timestamp>, StatementError> {
        let (before, monotonic) = (self.clock.now(), self.clock.monotonic());
        let counted = self.state.lock().last.map(|(last, at)| plus(last, monotonic.saturating_sub(at)));
        let rows = session.write(ADVANCE_RETENTION, &[&counted.map(Time)]).await?;
        let row = SqlRow::first(&rows)?;
        let server_time = row.time("server_time")?;
        self.compare_clocks(before, self.clock.now(), server_time);
        let time = |column| row.get::<Option<Time>>(column).map(|time| time.map(|time| time.0));
        let (Some(retention_time), Some(newest_event_at)) = (time("retention_time")?, time("newest_event_at")?) else {
            return Ok(None);
        };
        let mut state = self.state.lock();
        let counted = counted.map_or(retention_time, |counted| counted.min(server_time).max(retention_time));
        state.last = Some((counted, monotonic));
        let lag = since(server_time, retention_time);
        self.metrics.lag(lag);
        if lag >= LAG_MIN && !state.is_lag_logged {
            tracing::warn!(
                lag_seconds = lag.as_secs(),
                "request ids are kept longer by this time: no process ran, or the clock of the database server was set \
                 ahead; if it is wrong, set it"
            );
        }
        state.is_lag_logged = lag >= LAG_MIN;
        // The caller's time, moved to the retention time, or to that of the newest event.
        let ahead = since(before, retention_time.min(newest_event_at));
        Ok(Some(recorded_before.plus_micros(-micros(ahead))))
    }

    /// Reports the forgetting of requests that the database refused.
    pub(super) fn report_refusal(&self, before: Timestamp) {
        self.metrics.refused();
        tracing::warn!(
            before_micros = before.as_micros(),
            "no request id was forgotten, as far more than usual would have been: if command.request_id_retention was \
             shortened on purpose, run once, as the owner of the tables: UPDATE installation SET \
             requests_forgotten_before = to_timestamp({}); if not, compare the clocks of the database server and of \
             this machine",
            before.as_micros() / 1_000_000
        );
    }

    /// Reports the difference between both clocks. The server's time was read between the two times of this process.
    fn compare_clocks(&self, before: Timestamp, after: Timestamp, server_time: Timestamp) {
        let (ahead, behind) = (since(before, server_time), since(server_time, after));
        let difference = ahead.as_secs_f64() - behind.as_secs_f64();
        self.metrics.difference(difference);
        let is_far = ahead.max(behind) >= DIFFERENCE_MIN;
        let mut state = self.state.lock();
        if is_far && !state.is_difference_logged {
            tracing::warn!(
                ahead_seconds = difference,
                "the clock of this machine differs from that of the database server, whose time counts for events and \
                 request ids: set the one that is wrong"
            );
        }
        state.is_difference_logged = is_far;
    }
}

/// Returns the time from `earlier` to `later`, or 0 if it is not earlier.
fn since(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::from_micros(later.as_micros().saturating_sub(earlier.as_micros()).max(0).unsigned_abs())
}

fn plus(time: Timestamp, duration: Duration) -> Timestamp {
    time.plus_micros(micros(duration))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
