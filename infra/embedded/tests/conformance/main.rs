//! Conformance suites of all ports: in memory and in a directory, with and without injected faults.
//!
//! `DIPTYCH_SEEDS` sets the number of seeds of the tests with faults, `DIPTYCH_SEED` selects a single seed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod faulty;
mod mutants;
mod parallel;
mod test_env;

use std::future::Future;

use diptych_kernel::testing::{event_log, event_store, progress, relay_state, view_cache, view_store, with_seed};
use test_env::{EmbeddedTestEnv, PARTITIONS, partitions};

/// Runs a test in memory, under paused time.
fn run_paused<T>(seed: u64, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(with_seed(seed, test))
}

/// Runs a test in a directory. Database threads are involved, so time is not paused.
fn run<T>(seed: u64, test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(with_seed(seed, test))
}

#[test]
fn event_store_in_memory() {
    run_paused(1, event_store::suite(&EmbeddedTestEnv::events_in_memory(), 1));
}

#[test]
fn event_store_in_a_directory() {
    run(1, event_store::suite(&EmbeddedTestEnv::events_in_a_directory(), 1));
}

#[test]
fn relay_state_in_memory() {
    run_paused(1, relay_state::suite(&EmbeddedTestEnv::events_in_memory(), partitions(), 1));
}

#[test]
fn relay_state_in_a_directory() {
    run(1, relay_state::suite(&EmbeddedTestEnv::events_in_a_directory(), partitions(), 1));
}

#[test]
fn event_log_in_memory() {
    run_paused(1, event_log::suite(&EmbeddedTestEnv::log_in_memory(), 1));
}

#[test]
fn event_log_in_a_directory() {
    run(1, event_log::suite(&EmbeddedTestEnv::log_in_a_directory(), 1));
}

#[test]
fn view_store_in_memory() {
    run_paused(1, view_store::suite(&EmbeddedTestEnv::views_in_memory(), 1));
}

#[test]
fn view_store_in_a_directory() {
    run(1, view_store::suite(&EmbeddedTestEnv::views_in_a_directory(), 1));
}

#[test]
fn progress_in_memory() {
    run_paused(1, progress::suite(&EmbeddedTestEnv::views_in_memory(), 1));
}

#[test]
fn progress_in_a_directory() {
    run(1, progress::suite(&EmbeddedTestEnv::views_in_a_directory(), 1));
}

#[test]
fn view_cache() {
    assert_eq!(partitions().count(), PARTITIONS);
    run_paused(1, view_cache::suite(&EmbeddedTestEnv::cache(), 1));
}
