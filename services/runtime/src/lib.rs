//! Shared parts of all processes: tasks, shutdown, backoff, gRPC server, health, telemetry, and the table from failures
//! to gRPC statuses.
//!
//! - [`Tasks`] and [`Shutdown`]: background tasks with an owner, and the signal on which they stop.
//! - [`grpc`]: the gRPC server with limits, deadlines, health, reflection, metrics and trace spans around every call.
//! - [`Failure`]: every error that a caller can get, with its reason, gRPC code and message.
//! - [`telemetry`]: set-up of logs, metrics and traces; [`trace`]: spans and their context.
//! - [`Backoff`], [`LogLimiter`]: delays between retries, and rate limits of repeated log lines.

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
pub use status::{DomainRefusal, Failure, InvalidFields, TRY_ELSEWHERE, mark_try_elsewhere};
pub use tasks::{Tasks, UnfinishedTasks};
pub use trace_context::event_metadata;
