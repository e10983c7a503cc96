//! Reports the transaction that holds readers back.

use std::time::Duration;

use diptych_kernel::{
    Position,
    ports::{HeldBackEvent, PortResult},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    driver::{Pool, SqlRow, StatementError},
    metrics::HorizonMetrics,
};

const OLDEST_WRITER: &str = include_str!("../../queries/oldest_writer.sql");

/// Time that the horizon must stand still, with committed events behind it, before a warning is logged.
const STALL_MIN: Duration = Duration::from_secs(1);

/// Interval of the warnings while the horizon stands still.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A transaction that has written and is still open.
#[derive(Clone, Debug, PartialEq)]
pub struct OldestWriter {
    /// The process id of its session, for `pg_terminate_backend`; `None` for a prepared transaction.
    pub pid: Option<i32>,
    /// The identifier of a prepared transaction (two-phase commit).
    pub prepared_as: Option<String>,
    /// The database of its session: that of this store.
    pub database: Option<String>,
    /// The `application_name` of its session.
    pub application_name: Option<String>,
    /// The state of its session, such as `idle in transaction`; `None` if this user may not see it.
    pub state: Option<String>,
    /// The age of the transaction in seconds; `None` if this user may not see it.
    pub age_seconds: Option<f64>,
    /// The beginning of its current or last statement; without permission, a text that says so.
    pub query: Option<String>,
}

/// Reads the oldest open transaction of the database that has written.
pub(super) async fn oldest_writer(readers: &Pool) -> PortResult<Option<OldestWriter>> {
    let read = async {
        let rows = readers.session().await?.query(OLDEST_WRITER, &[]).await?;
        let Some(row) = rows.first().map(SqlRow) else { return Ok(None) };
        Ok(Some(OldestWriter {
            pid: row.get("pid")?,
            prepared_as: row.get("prepared_as")?,
            application_name: row.get("application_name")?,
            state: row.get("state")?,
            age_seconds: row.get("age_seconds")?,
            database: row.get("database")?,
            query: row.get("query")?,
        }))
    };
    read.await.map_err(StatementError::into_read_error)
}

/// Watches the horizon: the position below which events can be read.
pub(super) struct HorizonMonitor {
    stalls: Mutex<StallDetector>,
    metrics: HorizonMetrics,
}

#[derive(Debug, Default)]
struct StallDetector {
    /// Position of the horizon and start of the stall, while committed events wait behind it.
    stalled: Option<(i64, Instant)>,
    logged_at: Option<Instant>,
}

impl HorizonMonitor {
    pub(super) fn new() -> Self {
        Self { stalls: Mutex::default(), metrics: HorizonMetrics::new() }
    }

    /// Observes the horizon that a read has seen and the first event that it holds back. Names the transaction that
    /// holds readers back for long in a warning and a metric.
    pub(super) async fn observe(&self, readers: &Pool, horizon_exclusive: Position, held_back: Option<HeldBackEvent>) {
        let age_seconds = held_back.map_or(0.0, |event| event.seen_at.seconds_since(event.recorded_at));
        self.metrics.held_back(age_seconds);
        let stalled_at = held_back.map(|_| horizon_exclusive.as_i64());
        if !self.stalls.lock().should_log(stalled_at, Instant::now()) {
            return;
        }
        match oldest_writer(readers).await {
            Ok(Some(writer)) => {
                self.metrics.writer(&writer);
                tracing::warn!(
                    pid = writer.pid,
                    prepared_as = writer.prepared_as,
                    database = writer.database,
                    application_name = writer.application_name,
                    state = writer.state,
                    age_seconds = writer.age_seconds,
                    query = writer.query,
                    "an open transaction that has written holds all readers back; end it if it does not end soon"
                );
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "readers are held back, and the open transaction cannot be read"),
        }
    }
}

impl StallDetector {
    fn should_log(&mut self, horizon: Option<i64>, now: Instant) -> bool {
        let since = match (horizon, self.stalled) {
            (None, _) => {
                self.stalled = None;
                return false;
            }
            (Some(horizon), Some((known, since))) if known == horizon => since,
            (Some(horizon), _) => {
                self.stalled = Some((horizon, now));
                return false;
            }
        };
        let was_just_logged = self.logged_at.is_some_and(|logged| now.duration_since(logged) < LOG_INTERVAL);
        if now.duration_since(since) < STALL_MIN || was_just_logged {
            return false;
        }
        self.logged_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_logged_after_a_second_and_at_most_every_ten() {
        let (mut detector, start) = (StallDetector::default(), Instant::now());
        let mut at = |millis, horizon| detector.should_log(horizon, start + Duration::from_millis(millis));
        assert!(!at(0, Some(5)));
        assert!(!at(900, Some(5)), "too early");
        assert!(!at(1_000, Some(6)), "it has moved");
        assert!(!at(1_900, Some(6)), "too early");
        assert!(at(2_000, Some(6)));
        assert!(!at(11_900, Some(6)), "just logged");
        assert!(at(12_000, Some(6)), "still stalled");
        assert!(!at(23_000, None), "no stall any more");
        assert!(!at(23_100, Some(6)), "a new stall");
    }
}
