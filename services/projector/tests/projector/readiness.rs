//! Readiness of a projector that replaces others.

use std::time::Duration;

use diptych_kernel::{
    domain::{Domain, ViewId},
    ports::ProgressStore,
    testing::theatre::{Event, SEATS, Theatre},
};
use diptych_projector::{ProjectorState, run, wait_until_ready};
use diptych_runtime::Shutdown;
use futures::future::join_all;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    amended::{Amended, NextGeneration},
    harness::{ProjectorHarness, config, seat},
    stores::ScreenedEvents,
};

type Next = Amended<NextGeneration>;

const TIME_TO_LIVE: Duration = Duration::from_secs(20);
/// Less than that, and long enough for all else.
const LONG: Duration = Duration::from_secs(15);

fn views_of<D: Domain>() -> Vec<ViewId> {
    D::views().iter().map(|view| view.id()).collect()
}

impl ProjectorHarness {
    /// Runs a projector of a version with a new generation until it is ready, or the scenario has ended. Returns
    /// whether it is ready.
    async fn is_next_ready_during<T>(&self, scenario: impl Future<Output = T>) -> bool {
        let (state, states) = watch::channel(ProjectorState::default());
        let views = views_of::<Next>();
        tokio::select! {
            biased;
            () = wait_until_ready(states, &*self.views, &views) => true,
            _ = scenario => false,
            ended = run::<Next, _, _, _, _, _>(self.ports(), config("next"), state, Shutdown::new()) => panic!("{ended:?}"),
        }
    }

    async fn with_events() -> Self {
        let harness = Self::new();
        harness.append_and_publish(&[(&seat(0, 0), Event::reserved("ada"))]).await;
        harness.project_all().await;
        harness
    }
}

async fn never() {
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_projector_is_ready_once_nobody_reads_a_table_that_it_does_not_write() {
    let harness = ProjectorHarness::with_events().await;
    harness.views.add_reader("query-new", &views_of::<Next>(), TIME_TO_LIVE).await.unwrap();
    assert!(harness.is_next_ready_during(never()).await, "who reads its tables does not matter");

    harness.views.add_reader("query-old", &views_of::<Theatre>(), TIME_TO_LIVE).await.unwrap();
    assert!(!harness.is_next_ready_during(diptych_runtime::pause(LONG)).await, "the old table is read");
    harness.views.remove_reader("query-old", &[SEATS]).await.unwrap();
    assert!(harness.is_next_ready_during(never()).await, "the reader of the old table has left");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_killed_counts_until_it_expires() {
    let harness = ProjectorHarness::with_events().await;
    let killed_at = Instant::now();
    harness.views.add_reader("query-old", &views_of::<Theatre>(), TIME_TO_LIVE).await.unwrap();
    assert!(harness.is_next_ready_during(never()).await);
    let until = TIME_TO_LIVE + Duration::from_secs(25);
    assert!((TIME_TO_LIVE..until + LONG).contains(&killed_at.elapsed()), "{:?}", killed_at.elapsed());
}

/// As do all query services of the old version that restart together, or whose registrations expired in an outage.
#[tokio::test(start_paused = true)]
async fn a_reader_that_comes_back_is_not_overlooked() {
    let harness = ProjectorHarness::with_events().await;
    let old = views_of::<Theatre>();
    harness.views.add_reader("query-old", &old, TIME_TO_LIVE).await.unwrap();
    let restarts = async {
        for _ in 0..5 {
            diptych_runtime::pause(Duration::from_secs(3)).await;
            harness.views.remove_reader("query-old", &old).await.unwrap();
            diptych_runtime::pause(Duration::from_secs(15)).await;
            harness.views.add_reader("query-old", &old, TIME_TO_LIVE).await.unwrap();
        }
    };
    assert!(!harness.is_next_ready_during(restarts).await);
}

#[tokio::test(start_paused = true)]
async fn a_projector_is_not_ready_while_it_fills_a_table() {
    let harness = ProjectorHarness::with_events().await;
    let all = harness.all_events().await;
    let events = ScreenedEvents::hiding(&harness.events, &all[0]);
    events.show();
    events.set_down(true);
    let (state, states) = watch::channel(ProjectorState::default());
    let views = views_of::<Next>();
    let scenario = async {
        let ready = wait_until_ready(states.clone(), &*harness.views, &views);
        assert!(timeout(LONG, ready).await.is_err(), "the write database is down");
        assert!(matches!(&*states.borrow(), ProjectorState::Filling(views) if views.len() == 1), "{states:?}");
        events.set_down(false);
        wait_until_ready(states.clone(), &*harness.views, &views).await;
        harness.wait_until_projected::<Next>().await;
    };
    let ports = harness.ports_with_events(&events);
    tokio::select! {
        biased;
        () = scenario => {}
        ended = run::<Next, _, _, _, _, _>(ports, config("next"), state, Shutdown::new()) => panic!("{ended:?}"),
    }
}

/// There are three partitions.
#[tokio::test(start_paused = true)]
async fn a_member_without_partitions_is_ready() {
    let harness = ProjectorHarness::with_events().await;
    let (members, states): (Vec<_>, Vec<_>) = ["one", "two", "three", "four"]
        .into_iter()
        .map(|name| {
            let (state, states) = watch::channel(ProjectorState::default());
            (run::<Theatre, _, _, _, _, _>(harness.ports(), config(name), state, Shutdown::new()), states)
        })
        .unzip();
    let views = views_of::<Theatre>();
    let all_ready = join_all(states.into_iter().map(|states| wait_until_ready(states, &*harness.views, &views)));
    tokio::select! {
        biased;
        _ = all_ready => {}
        ended = join_all(members) => panic!("{ended:?}"),
    }
}
