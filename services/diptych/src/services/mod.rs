//! The services as processes of their own, on the real servers; and all of them in one process.
//!
//! Each tells its own story: mount what it serves, wait for what it needs, start its part, say that it is ready.

pub(crate) mod all;
pub(crate) mod command;
pub(crate) mod projector;
pub(crate) mod query;
pub(crate) mod relay;
