//! The gRPC server: limits, health, reflection and counting around whatever is mounted.

mod calls;
mod health;
mod limits;
mod reflection;
mod server;
#[cfg(test)]
mod tests;
mod transport_status;

pub use health::Health;
pub use limits::Limits;
pub use server::{Mounted, ServeError, Server};
pub use transport_status::with_reason;
