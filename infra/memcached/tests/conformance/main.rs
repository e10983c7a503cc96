//! The port of this crate against its suite on a real server, as it is and behind a liar.
//!
//! `DIPTYCH_TEST_MEMCACHED` is a server; without it every test is skipped, except in CI. Each place has a key prefix of its own.
//! `DIPTYCH_SEEDS` says how many seeds the liars run with, `DIPTYCH_SEED` picks a single one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod faulty;
mod test_env;

use diptych_kernel::testing::{view_cache, with_seed};
use test_env::MemcachedTestEnv;

/// Several seeds, as half of them run the suite's zombies.
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
async fn view_cache_that_takes_only_what_is_read() {
    for seed in 1..=4 {
        let Some(env) = MemcachedTestEnv::with(|config| config.refresh_puts_absent = false) else { return };
        with_seed(seed, view_cache::suite(&env, seed)).await;
    }
}
