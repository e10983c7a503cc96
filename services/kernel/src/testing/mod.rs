//! What tests are made of: one conformance suite per port, a lying wrapper around every port, a small domain, and given/when/then.
//!
//! An adapter proves itself by running the suite of each port that it implements on a fresh [`Place`], as it is and behind a
//! [`lying::Liar`]. The suites panic where a contract is broken. Run them inside [`with_seed`], which prints the seed then, so that
//! a failure can be had again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod clock;
pub mod event_log;
pub mod event_store;
mod given;
pub mod lying;
mod place;
pub mod progress;
pub mod relay_state;
mod support;
pub mod theatre;
pub mod view_cache;
pub mod view_store;

pub use clock::ManualClock;
pub use given::{Given, Outcome, given};
pub use place::{Failures, LyingPlace, Place};
pub use support::{block_on, with_seed, yield_now};

#[cfg(test)]
mod broken;
