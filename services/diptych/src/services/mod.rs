//! The services as separate processes on real servers, and all of them in one process.
//!
//! Each mounts its gRPC service, opens the servers that it uses, starts its part, and reports readiness.

pub(crate) mod all;
pub(crate) mod command;
mod flags;
pub(crate) mod projector;
pub(crate) mod query;
pub(crate) mod relay;
