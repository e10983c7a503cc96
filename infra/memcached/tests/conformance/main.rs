//! Conformance tests of the [`ViewCache`](diptych_kernel::ports::ViewCache) port on a real server, with and without
//! injected faults.
//!
//! `DIPTYCH_TEST_MEMCACHED` is the server; without it every test is skipped, except in CI. Each test environment has a
//! key prefix of its own. `DIPTYCH_SEEDS` is the number of seeds for injected faults, `DIPTYCH_SEED` selects a single
//! one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod faulty;
mod test_env;

use diptych_kernel::testing::{view_cache, with_seed};
use test_env::MemcachedTestEnv;

/// Runs several seeds, as half of them run the suite with zombies: members that were replaced and do not know it.
#[tokio::test]
async fn view_cache() {
    for seed in 1..=8 {
        let Some(env) = MemcachedTestEnv::new() else { return };
        with_seed(seed, view_cache::suite(&env, seed)).await;
    }
}

#[tokio::test]
async fn view_cache_over_several_connections() {
    for seed in 1..=4 {
        let Some(env) = MemcachedTestEnv::with(|config| config.connections_per_server = 3) else { return };
        with_seed(seed, view_cache::suite(&env, seed)).await;
    }
}

#[tokio::test]
async fn view_cache_without_refreshes_of_absent_keys() {
    for seed in 1..=4 {
        let Some(env) = MemcachedTestEnv::with(|config| config.refresh_puts_absent = false) else { return };
        with_seed(seed, view_cache::suite(&env, seed)).await;
    }
}
