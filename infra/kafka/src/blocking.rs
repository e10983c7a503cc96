//! Blocking calls of librdkafka, run off the async worker threads.

use diptych_kernel::ports::{PortError, PortResult};

/// Runs a blocking call on a thread of the blocking pool. The call runs to its end even if the caller stops waiting;
/// everything that runs here is bounded by [`KafkaConfig::request_timeout`](crate::KafkaConfig::request_timeout) per
/// request.
pub(crate) async fn run_blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(PortError::unknown(format!("cannot {what}: the blocking task was aborted")).caused_by(error)),
    }
}
