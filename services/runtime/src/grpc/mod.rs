//! The gRPC server: limits, health, reflection, counting and tracing around whatever is mounted.

mod call_span;
mod calls;
mod code_name;
mod deadline;
mod health;
mod json;
mod limits;
mod reflection;
mod server;
#[cfg(test)]
mod tests;
mod transport_status;

pub use call_span::CommandSpan;
pub use deadline::{time_to_answer, timeout};
pub use health::Health;
pub use json::RouteError;
pub use limits::Limits;
pub use server::{Mounted, ServeError, Server};
pub use transport_status::with_reason;
