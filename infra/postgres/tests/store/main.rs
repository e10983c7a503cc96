//! Tests beyond the conformance suites: schema and upgrades, databases that are refused, failures and their effects,
//! request partitions, notifications, and durability of reads.
//!
//! `DIPTYCH_TEST_POSTGRES_URL` is the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

#[path = "../support/mod.rs"]
mod support;

mod bare_insert;
mod checksums;
mod durability;
mod event_segments;
mod failures;
mod history;
mod hosts;
mod notifications;
mod plans;
mod positions;
mod refusals;
mod request_partitions;
mod retention;
mod schema;
mod service_role;
mod turns;
