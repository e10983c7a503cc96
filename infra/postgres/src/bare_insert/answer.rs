//! Answers of the server, with a timeout.

use std::{future::Future, time::Duration};

use diptych_kernel::ports::PortResult;
use tokio::time::timeout;
use tokio_postgres::Error;

use crate::driver::StatementError;

/// Waits for the answer to a statement, at most for the timeout.
pub(super) async fn answer<T>(
    answer_timeout: Duration,
    statement: impl Future<Output = Result<T, Error>>,
) -> PortResult<T> {
    match timeout(answer_timeout, statement).await {
        Ok(result) => result.map_err(|error| StatementError::Failed(error).into_read_error()),
        Err(_) => Err(StatementError::TimedOut(answer_timeout).into_read_error()),
    }
}
