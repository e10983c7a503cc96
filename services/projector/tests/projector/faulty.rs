//! Views are correct in the end under injected faults and crashes of members.

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
    harness::{ProjectorHarness, config, partitions, run_projector_during, seat},
    workload::TheatreWorkload,
};

const SEEDS_DEFAULT: u64 = 50;

/// The number of times that both members are restarted.
const RUNS: usize = 3;

#[tokio::test(start_paused = true)]
async fn views_are_correct_in_the_end_under_faults() {
    let mut faults_count = 0;
    for seed in seeds(SEEDS_DEFAULT) {
        faults_count += with_seed(seed, run_with_faults(seed)).await;
    }
    assert!(faults_count > 0);
}

/// Runs a relay and two members with injected faults; returns the number of faults.
async fn run_with_faults(seed: u64) -> u64 {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(seed);
    let faults = FaultInjector::new(seed, workload.dice.random_range(0.02..0.3));
    for run in 0..RUNS {
        let is_last = run + 1 == RUNS;
        let scenario = async {
            for _ in 0..workload.dice.random_range(5..25) {
                let events = workload.next();
                harness.store(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
                if workload.dice.random_bool(0.3) {
                    let calls = faults.calls_count() + workload.dice.random_range(0..20);
                    harness.wait_until("some calls are made", async || faults.calls_count() >= calls).await;
                }
            }
            let calls = faults.calls_count() + workload.dice.random_range(0..200);
            harness.wait_until("some calls are made", async || faults.calls_count() >= calls).await;
            if is_last {
                faults.disable();
                harness.wait_until_projected::<Theatre>().await;
            }
        };
        with_relay_and_two_members(&harness, &faults, scenario).await;
        let report = harness.audit::<Theatre>().await;
        assert_eq!(report.differences_count, 0, "in run {run}: {:#?}", report.differences);
    }
    harness.assert_views_correct().await;
    faults.faults_count()
}

async fn with_relay_and_two_members(
    harness: &ProjectorHarness,
    faults: &FaultInjector,
    scenario: impl Future<Output = ()>,
) {
    let store = Arc::new(FaultyEventStore::new(Arc::clone(&harness.events), faults.clone()));
    let log = Arc::new(FaultyEventLog::new(Arc::clone(&harness.log), faults.clone()));
    let [mut one, mut two] = [config("one"), config("two")];
    (one.batch_records_max, one.hot_rows_max, one.catch_up_events_max) = (7, 20, 5);
    two.park_retry_interval = Duration::from_secs(2);
    let both = run_projector_during::<Theatre, _, _, _, _, _, _>(faulty(harness, faults), two, scenario);
    let all = run_projector_during::<Theatre, _, _, _, _, _, _>(faulty(harness, faults), one, both);
    tokio::select! {
        biased;
        () = all => {}
        ended = diptych_relay::run(store, log, RelayConfig::new("relay"), Shutdown::new()) => panic!("{ended:?}"),
    }
}

/// The log loses events: they can be detected only by versions, and by watermarks at the end.
#[tokio::test(start_paused = true)]
async fn views_are_correct_in_the_end_although_the_log_loses_events() {
    for seed in seeds(SEEDS_DEFAULT) {
        with_seed(seed, lose_events(seed)).await;
    }
}

async fn lose_events(seed: u64) {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(seed);
    let faults = FaultInjector::new(seed, 0.05);
    let scenario = async {
        for _ in 0..40 {
            let events = workload.next();
            let stored =
                harness.store(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
            let kept: Vec<LogEntry> =
                stored.into_iter().filter(|_| workload.dice.random_bool(0.8)).map(LogEntry::Event).collect();
            harness.log.append(&kept).await.unwrap();
            if workload.dice.random_bool(0.3) {
                let calls = faults.calls_count() + workload.dice.random_range(0..40);
                harness.wait_until("some calls are made", async || faults.calls_count() >= calls).await;
            }
        }
        for partition in partitions().iter() {
            harness.watermark(partition).await;
        }
        faults.disable();
        // An event lost without a trace is detected at the next event of its stream.
        let mut last = std::collections::BTreeMap::new();
        last.extend(harness.all_events().await.into_iter().map(|event| (event.stream_id.clone(), event)));
        let last: Vec<_> = last.into_values().collect();
        harness.publish(&last).await;
        // A row at the newest position of its partition can be replaced only at a newer one, and missing events may be
        // detected after that: so new events are stored for some rounds of retries.
        for round in 0..3 {
            for partition in partitions().iter() {
                let event = if round % 2 == 0 { Event::reserved("zoe") } else { Event::released("zoe") };
                harness.append_and_publish(&[(&seat(partition.number(), 100), event)]).await;
            }
            let until = Instant::now() + config("one").park_retry_interval * 2;
            harness.wait_until("parked streams are retried", async || Instant::now() >= until).await;
        }
        harness.wait_until_projected::<Theatre>().await;
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(faulty(&harness, &faults), config("one"), scenario).await;
    harness.assert_views_correct().await;
}
