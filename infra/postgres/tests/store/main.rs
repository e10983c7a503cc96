//! What the suites do not ask: the schema and its upgrades, what a handle refuses to work with, failures and what they mean, shelves of requests, waking
//! up, and what may be told.
//!
//! `DIPTYCH_TEST_POSTGRES_URL` names the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

#[path = "../support/mod.rs"]
mod support;

mod failures;
mod hosts;
mod positions;
mod safe;
mod schema;
mod shelves;
mod wake;
