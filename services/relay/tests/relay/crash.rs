//! A relay dies between any two steps.

use std::{sync::Arc, time::Duration};

use diptych_kernel::testing::{
    faulty::{FaultInjector, FaultyEventLog, FaultyEventStore},
    with_seed,
};
use diptych_relay::RelayConfig;
use diptych_runtime::pause;

use crate::stage::{Stage, config, relaying};

/// Runs a relay that dies in its nth call, then another one. Returns whether the first had died before all was published.
async fn dies_after(calls: u64, seed: u64) -> bool {
    let stage = Stage::new();
    stage.store(8).await;
    let faults = FaultInjector::crash_only(seed);
    let events = Arc::new(FaultyEventStore::new(Arc::clone(&stage.events), faults.clone()));
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&stage.log), faults.clone()));
    faults.crash_after(calls);
    // Moves its cursor after every batch, so that there are more steps to die between.
    let config = RelayConfig { cursor_interval: Duration::ZERO, ..config("one") };
    let story = async {
        stage.until("it dies or is done", async || faults.has_crashed() || stage.is_published().await).await;
        pause(Duration::from_secs(2)).await;
    };
    let (_, ended) = relaying(&events, &log, config, story).await;
    ended.unwrap();
    let has_died = faults.has_crashed();

    stage.store(2).await;
    stage.relay("two", stage.until_published()).await;
    stage.check_log().await;
    has_died
}

#[tokio::test(start_paused = true)]
async fn whenever_a_relay_dies_the_next_one_goes_on() {
    let mut steps = 0;
    for seed in 0..3 {
        for calls in 0.. {
            if !with_seed(seed, dies_after(calls, seed)).await {
                steps += calls;
                break;
            }
        }
    }
    assert!(steps > 45, "{steps} steps to die between are too few to test it");
}
