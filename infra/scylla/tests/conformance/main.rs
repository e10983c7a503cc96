//! Conformance suites of both ports of this crate on a real server, without and with injected faults, and tests of this
//! adapter alone.
//!
//! `DIPTYCH_TEST_CQL` is a contact point; without it every test that needs a server is skipped, except in CI. Each test
//! has a keyspace of its own. `DIPTYCH_SEEDS` is the number of seeds for fault injection, `DIPTYCH_SEED` selects a
//! single one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod cells;
mod faulty;
mod history;
mod migration;
mod rules;
mod saves;
mod scans;
mod stale_writers;
mod test_env;

use diptych_kernel::testing::{progress, view_store, with_seed};
use test_env::ScyllaTestEnv;

/// Both suites in one keyspace: they are independent of each other.
#[tokio::test]
async fn view_store_and_progress() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    with_seed(1, view_store::suite(&env, 1)).await;
    with_seed(1, progress::suite(&env, 1)).await;
    env.remove().await;
}
