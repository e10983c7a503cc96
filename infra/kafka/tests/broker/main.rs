//! Behaviour against a real Kafka, in addition to the conformance suite. `DIPTYCH_TEST_KAFKA` has its address.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

mod end_offsets;
mod foreign_records;
mod group_members;
#[path = "../harness/mod.rs"]
mod harness;
mod producers;
mod record_headers;
mod topic;
