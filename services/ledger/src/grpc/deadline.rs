//! How long a command's caller waits.

use std::time::Duration;

use diptych_runtime::grpc::time_to_answer;
use tokio::time::{Instant, timeout_at};

/// The answer, or `None` where it does not come before the caller's deadline.
pub(super) async fn within_deadline<T>(wait: Option<Duration>, answer: impl Future<Output = T>) -> Option<T> {
    let deadline = wait.and_then(|wait| Instant::now().checked_add(time_to_answer(wait)));
    match deadline {
        Some(deadline) => timeout_at(deadline, answer).await.ok(),
        None => Some(answer.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_before_his_deadline_that_there_is_no_answer() {
        let (began_at, wait) = (Instant::now(), Duration::from_secs(3));
        assert_eq!(within_deadline(Some(wait), std::future::pending::<()>()).await, None);
        assert!(began_at.elapsed() < wait, "{:?}", began_at.elapsed());
        for wait in [None, Some(wait), Some(Duration::MAX)] {
            assert_eq!(within_deadline(wait, async { 7 }).await, Some(7));
        }
    }
}
