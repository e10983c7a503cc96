//! Whatever the stores do or claim, nothing is left out.

use std::{sync::Arc, time::Duration};

use diptych_kernel::testing::{
    faulty::{FaultInjector, FaultyEventLog, FaultyEventStore},
    seeds, with_seed,
};
use diptych_runtime::pause;

use crate::stage::{Stage, config, relaying};

const SEEDS_DEFAULT: u64 = 50;

async fn nothing_is_left_out(seed: u64) -> u64 {
    let stage = Stage::new();
    let faults = FaultInjector::with_one_of(seed, [0.1, 0.3, 0.5]);
    let events = Arc::new(FaultyEventStore::new(Arc::clone(&stage.events), faults.clone()));
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&stage.log), faults.clone()));
    let story = async {
        for turn in 0..12 {
            stage.store(1 + turn % 3).await;
            pause(Duration::from_millis(u64::from(turn) * 150)).await;
        }
        stage.until_published().await;
    };
    let other = async { relaying(&events, &log, config("two"), story).await.1 };
    let (ended, also_ended) = relaying(&events, &log, config("one"), other).await;
    ended.unwrap();
    also_ended.unwrap();
    stage.check_log().await;
    faults.faults_count()
}

#[tokio::test(start_paused = true)]
async fn whatever_the_stores_claim_nothing_is_left_out() {
    for seed in seeds(SEEDS_DEFAULT) {
        let lies = with_seed(seed, nothing_is_left_out(seed)).await;
        assert!(lies > 0, "seed {seed} told no lie");
    }
}
