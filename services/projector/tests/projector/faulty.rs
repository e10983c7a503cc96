//! Whatever the stores do or claim, and whenever members die: in the end every row is right.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    ports::{EventLog, LogEntry},
    testing::{
        faulty::{FaultInjector, FaultyEventLog, FaultyEventStore},
        seeds,
        theatre::{Event, Theatre},
        with_seed,
    },
};
use diptych_relay::RelayConfig;
use diptych_runtime::Shutdown;
use rand::Rng;
use tokio::time::Instant;

use crate::{
    crash::faulty,
    stage::{Stage, config, partitions, playing, seat},
    workload::Evening,
};

const SEEDS_DEFAULT: u64 = 50;

/// How often the members die.
const LIVES: usize = 3;

#[tokio::test(start_paused = true)]
async fn in_the_end_every_row_is_right() {
    let mut lies = 0;
    for seed in seeds(SEEDS_DEFAULT) {
        lies += with_seed(seed, tell_lies(seed)).await;
    }
    assert!(lies > 0);
}

/// One run: a relay and two members whose stores lie; returns how often.
async fn tell_lies(seed: u64) -> u64 {
    let stage = Stage::new();
    let mut evening = Evening::new(seed);
    let faults = FaultInjector::new(seed, evening.dice.random_range(0.02..0.3));
    for life in 0..LIVES {
        let is_last = life + 1 == LIVES;
        let story = async {
            for _ in 0..evening.dice.random_range(5..25) {
                let events = evening.next();
                stage.store(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
                if evening.dice.random_bool(0.3) {
                    let calls = faults.calls_count() + evening.dice.random_range(0..20);
                    stage.until("time passes", async || faults.calls_count() >= calls).await;
                }
            }
            let calls = faults.calls_count() + evening.dice.random_range(0..200);
            stage.until("time passes", async || faults.calls_count() >= calls).await;
            if is_last {
                faults.disable();
                stage.until_projected::<Theatre>().await;
            }
        };
        with_relay_and_two_members(&stage, &faults, story).await;
        let report = stage.audit::<Theatre>().await;
        assert_eq!(report.differences_count, 0, "in life {life}: {:#?}", report.differences);
    }
    stage.assert_right().await;
    faults.faults_count()
}

async fn with_relay_and_two_members(stage: &Stage, faults: &FaultInjector, story: impl Future<Output = ()>) {
    let store = Arc::new(FaultyEventStore::new(Arc::clone(&stage.events), faults.clone()));
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&stage.log), faults.clone()));
    let [mut one, mut two] = [config("one"), config("two")];
    (one.batch_records_max, one.hot_rows_max, one.catch_up_events_max) = (7, 20, 5);
    two.park_retry = Duration::from_secs(2);
    let both = playing::<Theatre, _, _, _, _, _, _>(faulty(stage, faults), two, story);
    let all = playing::<Theatre, _, _, _, _, _, _>(faulty(stage, faults), one, both);
    tokio::select! {
        biased;
        () = all => {}
        ended = diptych_relay::run(store, log, RelayConfig::new("relay"), Shutdown::new()) => panic!("{ended:?}"),
    }
}

/// As above, but the log loses events: all that is known of them are versions, and watermarks at the end.
#[tokio::test(start_paused = true)]
async fn a_log_that_loses_events_harms_nobody() {
    for seed in seeds(SEEDS_DEFAULT) {
        with_seed(seed, lose_events(seed)).await;
    }
}

async fn lose_events(seed: u64) {
    let stage = Stage::new();
    let mut evening = Evening::new(seed);
    let faults = FaultInjector::new(seed, 0.05);
    let story = async {
        for _ in 0..40 {
            let events = evening.next();
            let stored =
                stage.store(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
            let kept: Vec<LogEntry> =
                stored.into_iter().filter(|_| evening.dice.random_bool(0.8)).map(LogEntry::Event).collect();
            stage.log.append(&kept).await.unwrap();
            if evening.dice.random_bool(0.3) {
                let calls = faults.calls_count() + evening.dice.random_range(0..40);
                stage.until("time passes", async || faults.calls_count() >= calls).await;
            }
        }
        for partition in partitions().iter() {
            stage.watermark(partition).await;
        }
        faults.disable();
        // What was lost without a trace shows when its stream goes on.
        let mut last = std::collections::BTreeMap::new();
        last.extend(stage.all_events().await.into_iter().map(|event| (event.stream_id.clone(), event)));
        let last: Vec<_> = last.into_values().collect();
        stage.publish(&last).await;
        // A row at the newest position of its partition can be replaced only when there is a newer one, and what is missing may be
        // noticed after that: so things go on for some rounds of retries.
        for round in 0..3 {
            for partition in partitions().iter() {
                let event = if round % 2 == 0 { Event::reserved("zoe") } else { Event::released("zoe") };
                stage.happen(&[(&seat(partition.number(), 100), event)]).await;
            }
            let until = Instant::now() + config("one").park_retry * 2;
            stage.until("parked streams were tried again", async || Instant::now() >= until).await;
        }
        stage.until_projected::<Theatre>().await;
    };
    playing::<Theatre, _, _, _, _, _, _>(faulty(&stage, &faults), config("one"), story).await;
    stage.assert_right().await;
}
