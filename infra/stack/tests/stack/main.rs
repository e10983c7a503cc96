//! Tests of stacks of real servers: start, kill, pause, loss of the owner, errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod all_servers;
mod errors;
mod harness;
mod owner;
mod processes;
mod program;
mod servers;
mod standbys;
