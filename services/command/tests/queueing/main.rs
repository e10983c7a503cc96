//! Queueing of commands while the write database does not answer, under paused time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod harness;
mod order;
mod outage;
mod random;
mod store;
