//! Crashes of the process between any two steps, after which another process continues.

use std::sync::Arc;

use diptych_embedded::{EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore};
use diptych_kernel::{
    domain::Domain,
    testing::{
        faulty::{FaultInjector, FaultyEventLog, FaultyEventStore, FaultyViewCache, FaultyViewStore},
        theatre::{Event, Theatre},
    },
};
use diptych_projector::Ports;

use crate::{
    amended::{Amended, NextGeneration, ReadsUnknown},
    harness::{ProjectorHarness, config, partition, run_projector_during, seat},
};

/// More calls than any of these scenarios makes.
const CALLS_MAX: u64 = 2_000;

pub(crate) type FaultyPorts = Ports<
    FaultyEventStore<EmbeddedEventStore>,
    FaultyEventLog<EmbeddedEventLog>,
    FaultyViewStore<EmbeddedViewStore>,
    FaultyViewStore<EmbeddedViewStore>,
    FaultyViewCache<EmbeddedViewCache>,
>;

/// All ports of one process, behind one fault injector.
pub(crate) fn faulty(harness: &ProjectorHarness, faults: &FaultInjector) -> FaultyPorts {
    let embedded = harness.ports();
    let views = Arc::new(FaultyViewStore::new(embedded.views, faults.clone()));
    Ports {
        events: Arc::new(FaultyEventStore::new(embedded.events, faults.clone())),
        log: Arc::new(FaultyEventLog::new(embedded.log, faults.clone())),
        views: Arc::clone(&views),
        progress: views,
        cache: Arc::new(FaultyViewCache::new(embedded.cache, faults.clone())),
    }
}

/// The state of the rows after a crash, before the next process starts.
#[derive(Clone, Copy, PartialEq)]
enum AfterCrash {
    /// Rows are never behind progress.
    Correct,
    /// The log has lost an event that could not be detected yet, and progress has passed it.
    Unknown,
}

/// Crashes a process in its `n`th call, for every `n`, continues with another one, and checks the views. Returns the
/// number of calls of a run without a crash.
async fn crash_in_every_call<D: Domain>(after_crash: AfterCrash, set_up: impl AsyncFn() -> ProjectorHarness) -> u64 {
    for calls in 0..CALLS_MAX {
        let harness = set_up().await;
        let faults = FaultInjector::crash_only(calls);
        faults.crash_after(calls);
        let run = async {
            let all = harness.wait_until_projected::<D>();
            let crashed = harness.wait_until("the process crashes", async || faults.has_crashed());
            tokio::select! {
                biased;
                () = crashed => {}
                () = all => {}
            }
        };
        run_projector_during::<D, _, _, _, _, _, _>(faulty(&harness, &faults), config("one"), run).await;
        if after_crash == AfterCrash::Correct {
            let report = harness.audit::<D>().await;
            assert_eq!(report.differences_count, 0, "after {calls} calls: {:#?}", report.differences);
        }
        let rest = async {
            harness.wait_until_projected::<D>().await;
            harness.append_and_publish(&[(&seat(0, 50), Event::reserved("zoe"))]).await;
            harness.wait_until_projected::<D>().await;
        };
        run_projector_during::<D, _, _, _, _, _, _>(harness.ports(), config("one"), rest).await;
        harness.assert_views_correct_in::<D>().await;
        if !faults.has_crashed() {
            return calls;
        }
    }
    panic!("the scenario makes more than {CALLS_MAX} calls");
}

async fn short_workload() -> ProjectorHarness {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(1, 0));
    harness.append_and_publish(&[(&a, Event::reserved("ada")), (&b, Event::reserved("bob"))]).await;
    harness
        .append_and_publish(&[(&a, Event::released("ada")), (&b, Event::released("bob")), (&a, Event::swapped("bob"))])
        .await;
    harness
}

#[tokio::test(start_paused = true)]
async fn a_crash_in_normal_operation_loses_nothing() {
    let calls = crash_in_every_call::<Theatre>(AfterCrash::Correct, short_workload).await;
    assert!(calls > 10, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_a_restart_loses_nothing() {
    let set_up = async || {
        let harness = short_workload().await;
        harness.project_all().await;
        harness
            .append_and_publish(&[(&seat(0, 0), Event::released("bob")), (&seat(1, 0), Event::reserved("eve"))])
            .await;
        harness.watermark(partition(2)).await;
        harness
    };
    crash_in_every_call::<Theatre>(AfterCrash::Correct, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_missing_events_are_read_loses_nothing() {
    let set_up = async || {
        let harness = short_workload().await;
        harness.project_all().await;
        let (a, b) = (seat(0, 0), seat(0, 1));
        harness.store(&[(&a, Event::released("bob"))]).await;
        harness.append_and_publish(&[(&b, Event::reserved("eve"))]).await;
        harness
            .project(
                harness.wait_until("the missing event is passed", async || harness.house(partition(0)).await == (2, 4)),
            )
            .await;
        harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
        harness
    };
    crash_in_every_call::<Theatre>(AfterCrash::Unknown, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_the_end_is_read_from_the_write_database_loses_nothing() {
    let set_up = async || {
        let harness = short_workload().await;
        harness.store(&[(&seat(0, 0), Event::released("bob")), (&seat(0, 1), Event::reserved("eve"))]).await;
        harness.watermark(partition(0)).await;
        harness
    };
    crash_in_every_call::<Theatre>(AfterCrash::Correct, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_parked_stream_is_resumed_loses_nothing() {
    let set_up = async || {
        let harness = short_workload().await;
        let (a, b) = (seat(0, 0), seat(0, 1));
        harness.append_and_publish(&[(&a, Event::released("bob"))]).await;
        let unknown = harness.store_unknown(&a).await;
        harness.publish(&unknown).await;
        let last = harness.append_and_publish(&[(&b, Event::reserved("eve"))]).await;
        let seats = diptych_kernel::testing::theatre::SEATS;
        let is_past = async || harness.progress(seats, partition(0)).await.position >= last[0].position;
        harness.project(harness.wait_until("the stream is parked", is_past)).await;
        assert_eq!(harness.parked(seats, partition(0)).await.len(), 1);
        harness
    };
    crash_in_every_call::<Amended<ReadsUnknown>>(AfterCrash::Correct, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_new_generation_is_filled_loses_nothing() {
    let set_up = async || {
        let harness = short_workload().await;
        harness.project_all().await;
        harness.append_and_publish(&[(&seat(0, 0), Event::released("bob"))]).await;
        harness
    };
    crash_in_every_call::<Amended<NextGeneration>>(AfterCrash::Correct, set_up).await;
}
