//! Age of request ids, and comparison of the system clock with the stored times.
//!
//! A request id that is forgotten too early makes a repeated command take effect twice, so no single clock may age it.
//! A wrong clock cannot be told from a long downtime. Therefore ids age by a time of their own, the retention time,
//! which advances at most as fast as the monotonic time of a running process: one start with a clock far ahead forgets
//! nothing. Ids are kept longer by the time in which no process ran, which costs only space.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{Clock, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, params};

use super::recent::Horizon;
use crate::database::{TransactionError, row};

/// Comparison of the system clock with the times in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockComparison {
    /// Time by which the clock is behind the newest event. New events get that event's time until the clock passes it.
    pub behind_newest_event: Duration,
    /// Time by which the clock is ahead of the retention time: request ids are kept longer by it.
    pub retention_lag: Duration,
    /// Increase of `retention_lag` since the last comparison: the clock was set ahead, or no process ran.
    pub jumped_ahead: Duration,
}

/// Retention time of one handle.
pub(super) struct RetentionClock {
    clock: Arc<dyn Clock>,
    /// The retention time at the last use of this handle, and the monotonic time then. Time is counted from this, not
    /// from the stored retention time, which another handle may have advanced by the same period.
    last: Mutex<Option<(Timestamp, Duration)>>,
}

struct StoredTimes {
    retention_time: Option<Timestamp>,
    seen_at: Option<Timestamp>,
    newest_event: Option<Timestamp>,
    oldest_remembered: Option<Timestamp>,
}

impl RetentionClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// Advances and stores the retention time. Returns the comparison with the system clock.
    pub(super) fn advance(&self, transaction: &Transaction<'_>) -> Result<ClockComparison, TransactionError> {
        let now = self.clock.now();
        let stored = StoredTimes::read(transaction)?;
        let Some(newest_event) = stored.newest_event else {
            // No id can be forgotten, and there is nothing to compare the clock with.
            return Ok(ClockComparison::default());
        };
        let from = stored.retention_time.unwrap_or_else(|| newest_event.min(now));
        let monotonic = self.clock.monotonic();
        let mut last = self.last.lock();
        let (last_time, last_monotonic) = last.unwrap_or((from, monotonic));
        let elapsed = last_time.plus_micros(micros(monotonic.saturating_sub(last_monotonic)));
        // All ids are newer than the oldest remembered one, so a time before that forgets nothing. Without this, a
        // database that was created with a clock in the past would keep its ids for ever.
        let oldest = stored.oldest_remembered.unwrap_or(from);
        let retention_time = elapsed.max(from).max(oldest);
        *last = Some((retention_time, monotonic));
        let lag = since(now, retention_time);
        let lag_before = stored.seen_at.map_or(Duration::ZERO, |seen_at| since(seen_at, from));
        transaction
            .prepare_cached("UPDATE file_state SET retention_time = ?1, seen_at = ?2")?
            .execute(params![retention_time.as_micros(), now.as_micros()])?;
        Ok(ClockComparison {
            behind_newest_event: since(newest_event, now),
            retention_lag: lag,
            jumped_ahead: lag.saturating_sub(lag_before),
        })
    }
}

impl StoredTimes {
    fn read(connection: &Connection) -> Result<Self, TransactionError> {
        let mut select = connection.prepare_cached(
            "SELECT retention_time, seen_at,
                    (SELECT recorded_at FROM events WHERE position > forgotten_up_to ORDER BY position LIMIT 1),
                    (SELECT recorded_at FROM refusals ORDER BY number LIMIT 1)
             FROM file_state, event_index",
        )?;
        let mut rows = select.query([])?;
        let row = rows.next()?.ok_or_else(|| row::corrupt("no row in table file_state"))?;
        let time = |column: usize| -> Result<Option<Timestamp>, TransactionError> {
            Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
        };
        let horizon = Horizon::of(connection)?;
        let has_events = horizon.last.as_i64() > 0;
        let oldest_refusal = time(3)?;
        Ok(Self {
            retention_time: time(0)?,
            seen_at: time(1)?,
            oldest_remembered: time(2)?.into_iter().chain(oldest_refusal).min(),
            // Without events, the newest refusal is not needed: refusals are as old as the oldest of them, or younger.
            newest_event: if has_events { Some(horizon.recorded_at) } else { oldest_refusal },
        })
    }
}

/// Returns the time from `earlier` to `later`, or 0 if it is not earlier.
fn since(later: Timestamp, earlier: Timestamp) -> Duration {
    Duration::from_micros(later.as_micros().saturating_sub(earlier.as_micros()).max(0).unsigned_abs())
}

/// Returns a duration in microseconds.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
