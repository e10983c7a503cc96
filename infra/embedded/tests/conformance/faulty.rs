//! Conformance suites with injected faults and many seeds.

use std::future::Future;

use diptych_kernel::testing::{
    FaultyTestEnv, TestEnv, event_log, event_store,
    faulty::{FaultInjector, FaultyEventLog, FaultyEventStore, FaultyRelayState, FaultyViewCache, FaultyViewStore},
    progress, relay_state, seeds, view_cache, view_store,
};

use crate::{
    run_paused,
    test_env::{EmbeddedTestEnv, partitions},
};

const SEEDS_DEFAULT: u64 = 1_000;

fn with_every_seed<P: TestEnv, T: Future<Output = ()>>(
    open: impl Fn() -> P,
    suite: impl Fn(P, FaultInjector, u64) -> T,
) {
    let mut faults_count = 0;
    for seed in seeds(SEEDS_DEFAULT) {
        let faults = FaultInjector::with_one_of(seed, [0.02, 0.1, 0.3]);
        run_paused(seed, suite(open(), faults.clone(), seed));
        faults_count += faults.faults_count();
    }
    assert!(faults_count > 0, "no fault was injected, so nothing was tested");
}

#[test]
fn event_store_with_faults() {
    with_every_seed(EmbeddedTestEnv::events_in_memory, |env, faults, seed| async move {
        event_store::suite(&FaultyTestEnv::new(&env, faults, FaultyEventStore::new), seed).await;
    });
}

#[test]
fn relay_state_with_faults() {
    with_every_seed(EmbeddedTestEnv::events_in_memory, |env, faults, seed| async move {
        relay_state::suite(&FaultyTestEnv::new(&env, faults, FaultyRelayState::new), partitions(), seed).await;
    });
}

#[test]
fn event_log_with_faults() {
    with_every_seed(EmbeddedTestEnv::log_in_memory, |env, faults, seed| async move {
        event_log::suite(&FaultyTestEnv::new(&env, faults, FaultyEventLog::new), seed).await;
    });
}

#[test]
fn view_store_with_faults() {
    with_every_seed(EmbeddedTestEnv::views_in_memory, |env, faults, seed| async move {
        view_store::suite(&FaultyTestEnv::new(&env, faults, FaultyViewStore::new), seed).await;
    });
}

#[test]
fn progress_with_faults() {
    with_every_seed(EmbeddedTestEnv::views_in_memory, |env, faults, seed| async move {
        progress::suite(&FaultyTestEnv::new(&env, faults, FaultyViewStore::new), seed).await;
    });
}

#[test]
fn view_cache_with_faults() {
    with_every_seed(EmbeddedTestEnv::cache, |env, faults, seed| async move {
        view_cache::suite(&FaultyTestEnv::new(&env, faults, FaultyViewCache::new), seed).await;
    });
}
