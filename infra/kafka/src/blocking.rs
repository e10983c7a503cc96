//! Calls of librdkafka that wait.

use diptych_kernel::ports::{PortError, PortResult};

/// Runs what waits on a thread of its own, so that no worker does. What was begun goes on if the caller stops waiting; everything that
/// runs here is bounded by [`KafkaConfig::answer_wait_max`](crate::KafkaConfig::answer_wait_max) per request.
pub(crate) async fn run_blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(PortError::unknown(format!("{what}: the work was broken off")).caused_by(error)),
    }
}
