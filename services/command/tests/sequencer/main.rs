//! The sequencer on the embedded store, with the theatre as its domain.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report of a test")]

mod bounds;
mod careless;
mod expected_version;
mod failures;
mod faulty;
mod idempotency;
mod probe;
mod process;
mod retention;
mod sequencing;
mod two_writers;
