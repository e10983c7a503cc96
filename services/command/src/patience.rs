//! Asking the store until it answers, a person is needed, or time is up.

use std::{future::Future, time::Duration};

use diptych_kernel::{
    RequestId,
    ports::{Effect, PortResult, Remedy},
};
use diptych_runtime::{Backoff, pause};
use tokio::time::{Instant, timeout_at};
use tracing::{error, warn};

/// The pause before the first repetition is at most this: about a commit.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// Later pauses grow to this, so that a database that comes back is seen soon and is not run down.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What the store answered.
#[derive(Debug)]
pub(crate) struct Answered<T> {
    pub(crate) value: T,
    /// Whether an attempt before may have had its effect.
    pub(crate) doubted: bool,
}

/// The store did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaveUp {
    /// Time is up. Nothing was done.
    Unavailable,
    /// Time is up. It may have been done, or may still be.
    OutcomeUnknown,
    /// A person is needed. Nothing was done.
    Internal,
}

impl GaveUp {
    /// What traces call it.
    pub(crate) fn error_type(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Internal => "internal",
        }
    }

    /// A question has no effect, so nothing is in doubt where it failed.
    pub(crate) fn of_question(self) -> Self {
        if self == Self::OutcomeUnknown { Self::Unavailable } else { self }
    }
}

/// How long the store is waited for, all repetitions included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    until: Instant,
    /// Spreads the pauses of many who wait at the same time.
    seed: u64,
}

impl Patience {
    /// From now on for a time. `request_id` is any of those that wait: other processes wait for others, so their pauses differ, and a
    /// run can be had again, pauses included.
    pub(crate) fn new(time: Duration, request_id: Option<RequestId>) -> Self {
        let seed = request_id
            .map_or(0, |id| id.as_bytes().iter().fold(0_u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte)));
        Self { until: Instant::now() + time, seed }
    }

    /// Makes the same call again and again until it answers. Not at all where time is up already. An attempt that is cut off has
    /// an unknown effect.
    pub(crate) async fn until_answered<T, F>(
        self,
        what: &'static str,
        call: impl Fn() -> F,
    ) -> Result<Answered<T>, GaveUp>
    where
        F: Future<Output = PortResult<T>>,
    {
        let mut backoff = Backoff::seeded(PAUSE_MIN, PAUSE_MAX, self.seed);
        let mut doubted = false;
        while Instant::now() < self.until {
            let Ok(result) = timeout_at(self.until, call()).await else {
                warn!(call = what, "the write database did not answer in time");
                return Err(GaveUp::OutcomeUnknown);
            };
            let failure = match result {
                Ok(value) => return Ok(Answered { value, doubted }),
                Err(failure) => failure,
            };
            doubted |= failure.effect() == Effect::Unknown;
            if failure.remedy() == Remedy::Operator {
                error!(call = what, error = %failure, "the write database needs a person");
                return Err(if doubted { GaveUp::OutcomeUnknown } else { GaveUp::Internal });
            }
            warn!(call = what, error = %failure, "the write database failed, asking again");
            let left = self.until.saturating_duration_since(Instant::now());
            pause(backoff.next_delay().min(left)).await;
        }
        Err(if doubted { GaveUp::OutcomeUnknown } else { GaveUp::Unavailable })
    }
}
