//! What every process needs: tasks, shutdown, retry, health, telemetry, and the one table from failure to gRPC status.

mod backoff;
mod clock;
mod connection;
pub mod grpc;
mod log_limiter;
mod progress_announcement;
pub mod reasons;
mod shutdown;
mod status;
mod tasks;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;
mod trace_context;

pub use backoff::Backoff;
pub use clock::{SystemClock, TokioClock, pause};
pub use log_limiter::{KeyedLogLimiter, LogLimiter};
pub use progress_announcement::{
    PROGRESS_ANNOUNCEMENTS, decode_progress_announcement, encode_progress_announcement, progress_announcement_key,
};
pub use shutdown::Shutdown;
pub use status::{Failure, InvalidFields, Refused, TRY_ELSEWHERE, let_try_elsewhere};
pub use tasks::{Tasks, Unfinished};
pub use trace_context::traceparent;
