//! Whole-pipeline tests: the simulated processes ([`cluster`]), their callers ([`callers`]), injected faults
//! ([`fault_plan`]), the answers to callers ([`command_history`]), and the final checks ([`checks`]).
//!
//! All of that runs on one thread, with paused time and one random generator, so that a seed reproduces a run. The test
//! `system` runs the product as it is installed, on real servers, with [`clients`] in other languages among its
//! callers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

pub mod callers;
pub mod checks;
pub mod clients;
pub mod cluster;
pub mod command_history;
pub mod fault_plan;
pub mod spans;
