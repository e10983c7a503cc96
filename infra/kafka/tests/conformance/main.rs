//! The suite of the event log against a real Kafka, as it is and behind a liar.
//!
//! `DIPTYCH_TEST_KAFKA` says where it is; its broker needs `group.min.session.timeout.ms=1000` and
//! `group.initial.rebalance.delay.ms=0`. `DIPTYCH_SEEDS` says how many seeds the liars run with, `DIPTYCH_SEED` picks a single one.
//! Every run has a topic of its own, so that all of them go on side by side: most of a run is waiting for sessions to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../site/mod.rs"]
mod site;
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
    site::show_logs();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(with_seed(seed, test))
}

#[test]
fn event_log_as_it_is() {
    let Some(servers) = site::servers() else { return };
    run(1, async {
        let env = KafkaTestEnv::new(&servers).await;
        event_log::suite(&env, 1).await;
    });
}

#[test]
fn event_log_with_faults() {
    let Some(servers) = site::servers() else { return };
    let lies: u64 = thread::scope(|scope| {
        let runs: Vec<_> = seeds(SEEDS_DEFAULT)
            .map(|seed| {
                scope.spawn({
                    let servers = &servers;
                    move || faulty(servers, seed)
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert!(lies > 0, "nobody lied, so nothing was tested");
}

/// Runs the suite behind a liar. Returns how often it lied.
fn faulty(servers: &str, seed: u64) -> u64 {
    run(seed, async {
        let env = KafkaTestEnv::new(servers).await;
        let faults = FaultInjector::with_one_of(seed, [0.02, 0.1, 0.2]);
        event_log::suite(&FaultyTestEnv::new(&env, faults.clone(), FaultyEventLog::new), seed).await;
        faults.faults_count()
    })
}
