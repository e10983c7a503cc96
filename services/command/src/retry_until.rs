//! Retries of calls to the write database until they succeed, fail for good, or a deadline passes.

use std::{future::Future, time::Duration};

use diptych_kernel::{
    RequestId,
    ports::{Effect, PortResult, Remedy},
};
use diptych_runtime::{Backoff, pause};
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

/// The shortest delay before a retry: about the time of a commit. The first is one to two times this.
const DELAY_MIN: Duration = Duration::from_millis(5);
/// The longest delay before later retries: short enough to notice soon that the database is back, without overloading
/// it.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// The result of a call that succeeded.
#[derive(Debug)]
pub(crate) struct Answered<T> {
    pub(crate) value: T,
    /// True if an earlier attempt ended with an unknown outcome, so that it may have taken effect.
    pub(crate) earlier_unknown: bool,
}

/// Error of a call that did not succeed before its deadline, or needs an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryError {
    /// The deadline passed. Nothing was done.
    Unavailable,
    /// The deadline passed. It may have been done, or may still be.
    OutcomeUnknown,
    /// Nothing is done until an operator acts. Nothing was done.
    Suspended,
    /// The write database broke its contract. Nothing was done.
    Internal,
}

impl RetryError {
    /// The value of `error.type` in traces.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Suspended => "suspended",
            Self::Internal => "internal",
        }
    }

    /// The same error for a call that only reads: it has no effect that could be unknown.
    pub(crate) fn of_read(self) -> Self {
        if self == Self::OutcomeUnknown { Self::Unavailable } else { self }
    }
}

/// Retries calls until a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryUntil {
    deadline: Instant,
    time_max: Duration,
    /// Spreads the delays of many callers that retry at the same time.
    seed: u64,
}

impl RetryUntil {
    /// Retries for `time_max` from now on. `request_id` is that of any of the commands that wait: other processes have
    /// other commands, so their delays differ, and a run with the same commands has the same delays.
    pub(crate) fn new(time_max: Duration, request_id: Option<RequestId>) -> Self {
        let seed = request_id
            .map_or(0, |id| id.as_bytes().iter().fold(0_u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte)));
        Self { deadline: Instant::now() + time_max, time_max, seed }
    }

    /// The time until which calls are repeated.
    pub(crate) fn deadline(self) -> Instant {
        self.deadline
    }

    /// The same with a new deadline: the call before succeeded, and another one follows.
    pub(crate) fn renewed(self) -> Self {
        Self { deadline: Instant::now() + self.time_max, ..self }
    }

    /// Repeats `call` until it succeeds, or until it has failed and `is_abandoned`: nobody waits for it. Does not call
    /// at all if the deadline has passed. An attempt that is cut off by the deadline has an unknown outcome. `name`
    /// names the call in the log.
    pub(crate) async fn run<T, F>(
        self,
        name: &'static str,
        is_abandoned: impl Fn() -> bool,
        call: impl Fn() -> F,
    ) -> Result<Answered<T>, RetryError>
    where
        F: Future<Output = PortResult<T>>,
    {
        let mut backoff = Backoff::seeded(DELAY_MIN, DELAY_MAX, self.seed);
        let mut earlier_unknown = false;
        while Instant::now() < self.deadline {
            let Ok(result) = timeout_at(self.deadline, call()).await else {
                warn!(call = name, "the write database did not answer in time");
                return Err(RetryError::OutcomeUnknown);
            };
            let failure = match result {
                Ok(value) => return Ok(Answered { value, earlier_unknown }),
                Err(failure) => failure,
            };
            earlier_unknown |= failure.effect() == Effect::Unknown;
            if failure.remedy() == Remedy::Operator {
                error!(call = name, error = %failure, "the write database failed and needs an operator");
                return Err(if earlier_unknown { RetryError::OutcomeUnknown } else { RetryError::Suspended });
            }
            warn!(call = name, error = %failure, "the write database failed, retrying");
            let left = self.deadline.saturating_duration_since(Instant::now());
            pause(backoff.next_delay().min(left)).await;
            if is_abandoned() {
                break;
            }
        }
        Err(if earlier_unknown { RetryError::OutcomeUnknown } else { RetryError::Unavailable })
    }
}
