//! The process dies between any two steps, and another one goes on.

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
    stage::{Stage, config, partition, playing, seat},
};

/// More calls than any of these stories takes.
const CALLS_MAX: u64 = 2_000;

pub(crate) type FaultyPorts = Ports<
    FaultyEventStore<EmbeddedEventStore>,
    FaultyEventLog<EmbeddedEventLog>,
    FaultyViewStore<EmbeddedViewStore>,
    FaultyViewStore<EmbeddedViewStore>,
    FaultyViewCache<EmbeddedViewCache>,
>;

/// All ports of one process behind one liar.
pub(crate) fn faulty(stage: &Stage, faults: &FaultInjector) -> FaultyPorts {
    let honest = stage.ports();
    let views = Arc::new(FaultyViewStore::new(honest.views, faults.clone()));
    Ports {
        events: Arc::new(FaultyEventStore::new(honest.events, faults.clone())),
        log: Arc::new(FaultyEventLog::new(honest.log, faults.clone())),
        views: Arc::clone(&views),
        progress: views,
        cache: Arc::new(FaultyViewCache::new(honest.cache, faults.clone())),
    }
}

/// Whether rows are never behind progress, also before the next process has come.
#[derive(Clone, Copy, PartialEq)]
enum Meanwhile {
    Right,
    /// The log has left an event out so that nobody could see it yet, and progress has passed it by.
    Unknown,
}

/// Lets a process die in its `n`th call, for every `n`, goes on with another, and looks whether all is right. Returns how many calls
/// there were.
async fn die_everywhere<D: Domain>(meanwhile: Meanwhile, set_up: impl AsyncFn() -> Stage) -> u64 {
    for calls in 0..CALLS_MAX {
        let stage = set_up().await;
        let faults = FaultInjector::crash_only(calls);
        faults.crash_after(calls);
        let ends = async {
            let all = stage.until_projected::<D>();
            let dead = stage.until("it dies", async || faults.has_crashed());
            tokio::select! {
                biased;
                () = dead => {}
                () = all => {}
            }
        };
        playing::<D, _, _, _, _, _, _>(faulty(&stage, &faults), config("one"), ends).await;
        if meanwhile == Meanwhile::Right {
            let report = stage.audit::<D>().await;
            assert_eq!(report.differences_count, 0, "after {calls} calls: {:#?}", report.differences);
        }
        let rest = async {
            stage.until_projected::<D>().await;
            stage.happen(&[(&seat(0, 50), Event::reserved("zoe"))]).await;
            stage.until_projected::<D>().await;
        };
        playing::<D, _, _, _, _, _, _>(stage.ports(), config("one"), rest).await;
        stage.assert_right_in::<D>().await;
        if !faults.has_crashed() {
            return calls;
        }
    }
    panic!("it takes more than {CALLS_MAX} calls");
}

async fn a_short_evening() -> Stage {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(1, 0));
    stage.happen(&[(&a, Event::reserved("ada")), (&b, Event::reserved("bob"))]).await;
    stage.happen(&[(&a, Event::released("ada")), (&b, Event::released("bob")), (&a, Event::swapped("bob"))]).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn in_the_ordinary_course() {
    let calls = die_everywhere::<Theatre>(Meanwhile::Right, a_short_evening).await;
    assert!(calls > 10, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn while_it_goes_on_from_where_another_was() {
    let set_up = async || {
        let stage = a_short_evening().await;
        stage.project_all().await;
        stage.happen(&[(&seat(0, 0), Event::released("bob")), (&seat(1, 0), Event::reserved("eve"))]).await;
        stage.watermark(partition(2)).await;
        stage
    };
    die_everywhere::<Theatre>(Meanwhile::Right, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn while_a_hole_is_filled() {
    let set_up = async || {
        let stage = a_short_evening().await;
        stage.project_all().await;
        let (a, b) = (seat(0, 0), seat(0, 1));
        stage.store(&[(&a, Event::released("bob"))]).await;
        stage.happen(&[(&b, Event::reserved("eve"))]).await;
        stage.project(stage.until("the hole is passed", async || stage.house(partition(0)).await == (2, 4))).await;
        stage.happen(&[(&a, Event::reserved("ada"))]).await;
        stage
    };
    die_everywhere::<Theatre>(Meanwhile::Unknown, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_end_is_read_from_the_write_database() {
    let set_up = async || {
        let stage = a_short_evening().await;
        stage.store(&[(&seat(0, 0), Event::released("bob")), (&seat(0, 1), Event::reserved("eve"))]).await;
        stage.watermark(partition(0)).await;
        stage
    };
    die_everywhere::<Theatre>(Meanwhile::Right, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn while_a_parked_stream_is_taken_up() {
    let set_up = async || {
        let stage = a_short_evening().await;
        let (a, b) = (seat(0, 0), seat(0, 1));
        stage.happen(&[(&a, Event::released("bob"))]).await;
        let unknown = stage.store_unknown(&a).await;
        stage.publish(&unknown).await;
        let last = stage.happen(&[(&b, Event::reserved("eve"))]).await;
        let seats = diptych_kernel::testing::theatre::SEATS;
        let is_past = async || stage.progress(seats, partition(0)).await.position >= last[0].position;
        stage.project(stage.until("the stream is parked", is_past)).await;
        assert_eq!(stage.parked(seats, partition(0)).await.len(), 1);
        stage
    };
    die_everywhere::<Amended<ReadsUnknown>>(Meanwhile::Right, set_up).await;
}

#[tokio::test(start_paused = true)]
async fn while_a_new_generation_is_filled() {
    let set_up = async || {
        let stage = a_short_evening().await;
        stage.project_all().await;
        stage.happen(&[(&seat(0, 0), Event::released("bob"))]).await;
        stage
    };
    die_everywhere::<Amended<NextGeneration>>(Meanwhile::Right, set_up).await;
}
