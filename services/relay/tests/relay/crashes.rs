//! Crashes of a relay between any two calls to its stores.

use std::{sync::Arc, time::Duration};

use diptych_kernel::testing::{
    faulty::{FaultInjector, FaultyEventLog, FaultyEventStore},
    with_seed,
};
use diptych_relay::RelayConfig;
use diptych_runtime::pause;

use crate::harness::{RelayHarness, config, run_relay_during};

/// Runs a relay that crashes at call number `calls`, then another one. Returns whether the first crashed before
/// everything was published.
async fn crashes_after(calls: u64, seed: u64) -> bool {
    let harness = RelayHarness::new();
    harness.store_commands(8).await;
    let faults = FaultInjector::crash_only(seed);
    let events = Arc::new(FaultyEventStore::new(Arc::clone(&harness.events), faults.clone()));
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&harness.log), faults.clone()));
    faults.crash_after(calls);
    // Moves the cursor after every batch, so that there are more calls to crash between.
    let config = RelayConfig { cursor_interval: Duration::ZERO, ..config("one") };
    let scenario = async {
        harness
            .until("the relay crashes or is done", async || faults.has_crashed() || harness.is_published().await)
            .await;
        pause(Duration::from_secs(2)).await;
    };
    let (_, ended) = run_relay_during(&events, &log, config, scenario).await;
    ended.unwrap();
    let has_crashed = faults.has_crashed();

    harness.store_commands(2).await;
    harness.run_relay("two", harness.until_published()).await;
    harness.check_log().await;
    has_crashed
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_at_any_call_the_next_relay_publishes_everything() {
    let mut crashes = 0;
    for seed in 0..3 {
        for calls in 0.. {
            if !with_seed(seed, crashes_after(calls, seed)).await {
                crashes += calls;
                break;
            }
        }
    }
    assert!(crashes > 45, "{crashes} crash points are too few");
}
