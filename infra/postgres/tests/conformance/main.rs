//! Both ports of this crate against their suites, on a real server: as it is and behind a liar.
//!
//! `DIPTYCH_TEST_POSTGRES_URL` names the server, `DIPTYCH_SEEDS` says how many seeds the liars run with, `DIPTYCH_SEED` picks a single one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

#[path = "../support/mod.rs"]
mod support;

mod faulty;
mod naive;

use diptych_kernel::testing::{event_store, relay_state, with_seed};
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
