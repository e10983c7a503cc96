//! Queries, retried until they are answered.

use std::time::Duration;

use diptych_runtime::{Backoff, pause};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::call_error::CallError;

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The longest deadline of one attempt, so that one that is lost does not use up the whole timeout.
const CALL_MAX: Duration = Duration::from_secs(10);

/// A query that failed for good, or until the timeout.
#[derive(Debug, thiserror::Error)]
#[error("query failed: {}: {}", error.reason, error.message)]
pub(crate) struct QueryFailed {
    /// The last error.
    pub(crate) error: CallError,
}

/// Retries queries while their errors are temporary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryRetry {
    timeout: Duration,
}

impl QueryRetry {
    /// Each query is retried until this timeout.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self { timeout }
    }

    /// Calls until there is an answer, each time with a deadline within the time that is left.
    ///
    /// # Errors
    /// The last error, when it is permanent or the timeout is over.
    pub(crate) async fn call<Q, A, F>(&self, query: Q, call: impl Fn(Request<Q>) -> F) -> Result<A, QueryFailed>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        loop {
            let mut request = Request::new(query.clone());
            request.set_timeout(deadline.saturating_duration_since(Instant::now()).min(CALL_MAX));
            let error = match call(request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => CallError::from(&status),
            };
            if !error.is_retryable_query() || Instant::now() >= deadline {
                return Err(QueryFailed { error });
            }
            pause(backoff.next_delay()).await;
        }
    }
}
