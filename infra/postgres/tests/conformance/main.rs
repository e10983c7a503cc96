//! Conformance suites of the ports of this crate on a real server, without and with injected faults.
//!
//! `DIPTYCH_TEST_POSTGRES_URL` names the server, `DIPTYCH_SEEDS` is the number of seeds for fault injection,
//! `DIPTYCH_SEED` selects a single one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

#[path = "../support/mod.rs"]
mod support;

mod faulty;
mod naive_reader;

use diptych_kernel::testing::{command_queue_state, event_store, relay_state, with_seed};
use support::{PostgresTestEnv, partitions, with_database};

#[test]
fn event_store() {
    with_database(|database| with_seed(1, async { event_store::suite(&PostgresTestEnv(database), 1).await }));
}

#[test]
fn relay_state() {
    with_database(|database| {
        with_seed(1, async { relay_state::suite(&PostgresTestEnv(database), partitions(), 1).await })
    });
}

#[test]
fn command_queue_state() {
    with_database(|database| with_seed(1, async { command_queue_state::suite(&PostgresTestEnv(database), 1).await }));
}
