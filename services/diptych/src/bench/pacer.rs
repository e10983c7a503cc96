//! The pacer of a benchmark: it decides when the next call starts, and when there are no more.

use std::{cell::Cell, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::schedule::Schedule;

/// Numbers the calls of a benchmark, limits their rate, and ends after a time or a number of calls.
#[derive(Debug)]
pub(crate) struct Pacer {
    calls_max: u64,
    ends_at: Option<Instant>,
    schedule: Option<Schedule>,
    calls: Cell<u64>,
}

/// The answer to a request for the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextCall {
    /// Start the call with this number, counted from 0.
    Now(u64),
    /// Ask again at this time: the next call is not due earlier.
    At(Instant),
    /// Start no more calls.
    Finished,
}

impl Pacer {
    /// Creates a pacer that ends after this duration, counted from now.
    pub(crate) fn for_duration(duration: Duration) -> Self {
        Self { calls_max: u64::MAX, ends_at: Some(Instant::now() + duration), schedule: None, calls: Cell::new(0) }
    }

    /// Creates a pacer that ends after this number of calls.
    pub(crate) fn for_calls(calls_max: u64) -> Self {
        Self { calls_max, ends_at: None, schedule: None, calls: Cell::new(0) }
    }

    /// Limits the rate to this many calls per second, counted from now. `None` sets no limit.
    pub(crate) fn with_rate(self, rate_per_second: Option<u64>) -> Self {
        Self { schedule: rate_per_second.map(Schedule::start), ..self }
    }

    /// Returns the number of the next call if it is due, without waiting.
    pub(crate) fn try_next(&self) -> NextCall {
        let (call, now) = (self.calls.get(), Instant::now());
        if call >= self.calls_max || self.ends_at.is_some_and(|end| now >= end) {
            return NextCall::Finished;
        }
        if let Some(due_at) = self.schedule.map(|schedule| schedule.due_at(call)).filter(|due_at| *due_at > now) {
            return NextCall::At(self.ends_at.map_or(due_at, |end| due_at.min(end)));
        }
        self.calls.set(call + 1);
        NextCall::Now(call)
    }

    /// Waits until the next call is due. Returns its number, counted from 0, or `None` at the end.
    pub(crate) async fn next(&self) -> Option<u64> {
        loop {
            match self.try_next() {
                NextCall::Now(call) => return Some(call),
                NextCall::At(due_at) => sleep_until(due_at).await,
                NextCall::Finished => return None,
            }
        }
    }
}
