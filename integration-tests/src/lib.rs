//! Whole-pipeline tests, split by duty: what runs ([`cluster`]), what it is asked ([`traffic`]), what goes wrong ([`faults`]), what must come
//! out ([`model`]), and whether it did ([`validate`]).
//!
//! All of that runs on one thread under paused time with one source of chance, so that a seed gives the same run again. The test `system` runs
//! the product as it is installed, on real servers, with [`clients`] in other languages among its callers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

pub mod clients;
pub mod cluster;
pub mod faults;
pub mod model;
pub mod spans;
pub mod traffic;
pub mod validate;
