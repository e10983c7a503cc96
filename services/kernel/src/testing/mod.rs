//! Test support: a conformance suite and a fault-injecting wrapper for every port, a small domain, and given/when/then
//! tests.
//!
//! An adapter must pass the suite of each port that it implements, on a fresh [`TestEnv`], both as it is and behind a
//! [`faulty::FaultInjector`]. A suite panics if a contract is broken. Run it inside [`with_seed`], which then prints
//! the seed, so that the failure can be reproduced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod clock;
pub mod command_queue_state;
pub mod event_log;
pub mod event_store;
mod event_store_wrapper;
pub mod faulty;
mod fixtures;
pub mod progress;
pub mod relay_state;
mod support;
mod test_env;
pub mod theatre;
pub mod view_cache;
pub mod view_store;

pub use clock::ManualClock;
pub use event_store_wrapper::EventStoreWrapper;
pub use fixtures::{Fixture, Outcome, fixture};
pub use support::{block_on, seeds, with_seed, yield_now};
pub use test_env::{Failures, FaultyTestEnv, TestEnv};

#[cfg(test)]
mod mutants;
