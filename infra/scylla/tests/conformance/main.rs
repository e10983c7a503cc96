//! Every port of this crate against its suite on a real server, as it is and behind a liar, and what only this adapter has to keep.
//!
//! `DIPTYCH_TEST_CQL` is a contact point; without it every test that needs a server is skipped, except in CI. Each test has a keyspace of
//! its own. `DIPTYCH_SEEDS` says how many seeds the liars run with, `DIPTYCH_SEED` picks a single one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod cells;
mod faulty;
mod migration;
mod rules;
mod saves;
mod scans;
mod test_env;
mod zombies;

use diptych_kernel::testing::{progress, view_store, with_seed};
use test_env::ScyllaTestEnv;

/// Both on one place: none has to do with what the other one writes.
#[tokio::test]
async fn view_store_and_progress() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    with_seed(1, view_store::suite(&env, 1)).await;
    with_seed(1, progress::suite(&env, 1)).await;
    env.remove().await;
}
