//! What only shows against a real Kafka, beside the suite. `DIPTYCH_TEST_KAFKA` says where it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod ends;
mod foreign;
mod headers;
mod members;
mod producers;
#[path = "../site/mod.rs"]
mod site;
mod topic;
