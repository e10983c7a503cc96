//! Deadline of a command call.

use std::time::Duration;

use diptych_runtime::grpc::answer_timeout;
use tokio::time::{Instant, timeout_at};

/// Returns the output of `response`, or `None` when it is not ready shortly before the caller's deadline.
///
/// `timeout` is the caller's; without one the call waits without limit.
pub(super) async fn within_deadline<T>(timeout: Option<Duration>, response: impl Future<Output = T>) -> Option<T> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(answer_timeout(timeout)));
    match deadline {
        Some(deadline) => timeout_at(deadline, response).await.ok(),
        None => Some(response.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_ends_before_the_deadline_of_its_caller() {
        let (began_at, timeout) = (Instant::now(), Duration::from_secs(3));
        assert_eq!(within_deadline(Some(timeout), std::future::pending::<()>()).await, None);
        assert!(began_at.elapsed() < timeout, "{:?}", began_at.elapsed());
        for timeout in [None, Some(timeout), Some(Duration::MAX)] {
            assert_eq!(within_deadline(timeout, async { 7 }).await, Some(7));
        }
    }
}
