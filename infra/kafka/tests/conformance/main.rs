//! Conformance suite of the event log against a real Kafka, with and without injected faults.
//!
//! `DIPTYCH_TEST_KAFKA` has its address; the broker needs `group.min.session.timeout.ms=1000` and
//! `group.initial.rebalance.delay.ms=0`. `DIPTYCH_SEEDS` sets the number of seeds for fault injection, `DIPTYCH_SEED`
//! selects a single one. Every run has a topic of its own, so that all run concurrently: most of a run is waiting for
//! sessions to expire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

#[allow(dead_code, reason = "other test binaries use the rest")]
#[path = "../harness/mod.rs"]
mod harness;
mod test_env;

use std::{future::Future, thread};

use diptych_kernel::testing::{
    FaultyTestEnv, event_log,
    faulty::{FaultInjector, FaultyEventLog},
    seeds, with_seed,
};
use test_env::KafkaTestEnv;

const SEEDS_DEFAULT: u64 = 3;

fn run<T>(seed: u64, test: impl Future<Output = T>) -> T {
    harness::show_logs();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(with_seed(seed, test))
}

#[test]
fn event_log_without_faults() {
    let Some(servers) = harness::servers() else { return };
    run(1, async {
        let env = KafkaTestEnv::new(&servers).await;
        event_log::suite(&env, 1).await;
    });
}

#[test]
fn event_log_with_faults() {
    let Some(servers) = harness::servers() else { return };
    let faults_count: u64 = thread::scope(|scope| {
        let runs: Vec<_> = seeds(SEEDS_DEFAULT)
            .map(|seed| {
                scope.spawn({
                    let servers = &servers;
                    move || run_with_faults(servers, seed)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert!(faults_count > 0, "no fault was injected, so nothing was tested");
}

/// Runs the suite with injected faults. Returns how many were injected.
fn run_with_faults(servers: &str, seed: u64) -> u64 {
    run(seed, async {
        let env = KafkaTestEnv::new(servers).await;
        let faults = FaultInjector::with_one_of(seed, [0.02, 0.1, 0.2]);
        event_log::suite(&FaultyTestEnv::new(&env, faults.clone(), FaultyEventLog::new), seed).await;
        faults.faults_count()
    })
}
