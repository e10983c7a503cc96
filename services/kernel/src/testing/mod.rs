//! What tests are made of: one conformance suite per port, a faulty wrapper around every port, a small domain, and given/when/then.
//!
//! An adapter proves itself by running the suite of each port that it implements on a fresh [`TestEnv`], as it is and behind a
//! [`faulty::FaultInjector`]. The suites panic where a contract is broken. Run them inside [`with_seed`], which prints the seed then, so that
//! a failure can be had again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod clock;
pub mod event_log;
pub mod event_store;
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
pub use fixtures::{Fixture, Outcome, fixture};
pub use support::{block_on, seeds, with_seed, yield_now};
pub use test_env::{Failures, FaultyTestEnv, TestEnv};

#[cfg(test)]
mod mutants;
