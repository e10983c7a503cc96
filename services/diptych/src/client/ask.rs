//! Asking until there is an answer.

use std::time::Duration;

use diptych_runtime::{Backoff, pause};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::failure::Failure;

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The longest deadline of one call: one that is lost on the way must not use up all patience.
const CALL_MAX: Duration = Duration::from_secs(10);

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the query service did not answer: {}: {}", failure.reason, failure.message)]
pub(crate) struct Unanswered {
    /// What it said last.
    pub(crate) failure: Failure,
}

/// Repeats a question while the failure is one that passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    patience: Duration,
}

impl Ask {
    /// Each question is repeated for so long.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience }
    }

    /// Asks until there is an answer, each time with a deadline within what is left of the patience.
    ///
    /// # Errors
    /// The last failure, when it is one that does not pass or patience is at its end.
    pub(crate) async fn until_answered<Q, A, F>(
        &self,
        question: Q,
        call: impl Fn(Request<Q>) -> F,
    ) -> Result<A, Unanswered>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.patience;
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let mut request = Request::new(question.clone());
            request.set_timeout(deadline.saturating_duration_since(Instant::now()).min(CALL_MAX));
            let failure = match call(request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => Failure::from(&status),
            };
            if !failure.is_passing_for_question() || Instant::now() >= deadline {
                return Err(Unanswered { failure });
            }
            pause(backoff.next_delay()).await;
        }
    }
}
