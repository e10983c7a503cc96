//! Relays on stores with injected faults publish every event.

use std::{sync::Arc, time::Duration};

use diptych_kernel::testing::{
    faulty::{FaultInjector, FaultyEventLog, FaultyEventStore},
    seeds, with_seed,
};
use diptych_runtime::pause;

use crate::harness::{RelayHarness, config, run_relay_during};

const SEEDS_DEFAULT: u64 = 50;

async fn every_event_is_published(seed: u64) -> u64 {
    let harness = RelayHarness::new();
    let faults = FaultInjector::with_one_of(seed, [0.1, 0.3, 0.5]);
    let events = Arc::new(FaultyEventStore::new(Arc::clone(&harness.events), faults.clone()));
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&harness.log), faults.clone()));
    let scenario = async {
        for round in 0..12 {
            harness.store_commands(1 + round % 3).await;
            pause(Duration::from_millis(u64::from(round) * 150)).await;
        }
        harness.until_published().await;
    };
    let other = async { run_relay_during(&events, &log, config("two"), scenario).await.1 };
    let (ended, other_ended) = run_relay_during(&events, &log, config("one"), other).await;
    ended.unwrap();
    other_ended.unwrap();
    harness.check_log().await;
    faults.faults_count()
}

#[tokio::test(start_paused = true)]
async fn every_event_is_published_despite_injected_faults() {
    for seed in seeds(SEEDS_DEFAULT) {
        let faults_count = with_seed(seed, every_event_is_published(seed)).await;
        assert!(faults_count > 0, "seed {seed} injected no fault");
    }
}
