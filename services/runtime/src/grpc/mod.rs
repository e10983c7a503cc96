//! The gRPC server: limits, deadlines, health, reflection, metrics and trace spans around the services.

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
pub use deadline::{answer_timeout, caller_timeout};
pub use health::Health;
pub use json::RouteError;
pub use limits::Limits;
pub use server::{ServeError, Server, ServerBuilder};
pub use transport_status::with_reason;
