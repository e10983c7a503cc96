//! Progress is announced through the cache at once, and saved a little later.

use std::time::Duration;

use diptych_kernel::{
    Partition, Position,
    domain::{Domain, RowKey, ViewId, view_set_name},
    ports::{CacheRead, Progress, ProgressUpdate, ViewCache},
    testing::theatre::{Event, HOUSES, SEATS, Theatre, VISITS},
};
use diptych_projector::{ProjectorConfig, run};
use diptych_runtime::{
    PROGRESS_ANNOUNCEMENTS, Shutdown, decode_progress_announcement, encode_progress_announcement,
    progress_announcement_key,
};
use tokio::sync::watch;

use crate::{
    amended::{Amended, NextGeneration, SEATS_NEXT},
    harness::{ProjectorHarness, config, partition, run_projector_during, seat},
};

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3_600);

fn announcement_key<D: Domain>(partition: Partition) -> RowKey {
    let views: Vec<ViewId> = D::views().iter().map(|view| view.id()).collect();
    progress_announcement_key(partition, &view_set_name(&views))
}

fn saving_every(progress_interval: Duration) -> ProjectorConfig {
    ProjectorConfig { progress_interval, ..config("one") }
}

impl ProjectorHarness {
    async fn announced(&self, view: ViewId, partition: Partition) -> Option<Progress> {
        self.announced_by::<Theatre>(view, partition).await
    }

    /// What the projectors of a version announce of a view.
    async fn announced_by<D: Domain>(&self, view: ViewId, partition: Partition) -> Option<Progress> {
        let keys = [announcement_key::<D>(partition)];
        let CacheRead::Hit(row) = self.cache.read(PROGRESS_ANNOUNCEMENTS, &keys).await.unwrap().remove(0) else {
            return None;
        };
        decode_progress_announcement(&row, partition, &[view]).pop().map(|update| update.progress)
    }

    async fn wait_until_announced(&self, number: u16, position: Position) {
        let is_announced = async || {
            let announced = self.announced(SEATS, partition(number)).await;
            announced.is_some_and(|announced| announced.position >= position)
        };
        self.wait_until("progress is announced", is_announced).await;
    }
}

#[tokio::test(start_paused = true)]
async fn progress_of_durable_rows_is_announced_before_it_is_saved() {
    let harness = ProjectorHarness::new();
    let seat = seat(1, 0);
    let events = harness.append_and_publish(&[(&seat, Event::reserved("ada"))]).await;
    let announcement = harness.wait_until_announced(1, events[0].position);
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), saving_every(NEVER), announcement).await;
    assert_eq!(harness.seat(&seat).await, Some((1, Some("ada".into()))));
    for view in [SEATS, VISITS, HOUSES] {
        assert_eq!(harness.progress(view, partition(1)).await, Progress::default(), "{view}");
        let announced = harness.announced(view, partition(1)).await.unwrap();
        assert_eq!(
            (announced.position, announced.as_of, announced.parked),
            (events[0].position, events[0].recorded_at, vec![]),
            "{view}"
        );
    }
    // The member that announced it has crashed without saving: its work is repeated, and changes nothing.
    harness.project_all().await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn saved_progress_equals_the_announced_progress() {
    let harness = ProjectorHarness::new();
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved("ada")), (&seat(1, 0), Event::reserved("bob"))]).await;
    let scenario = harness.wait_until_projected::<Theatre>();
    run_projector_during::<Theatre, _, _, _, _, _, _>(
        harness.ports(),
        saving_every(Duration::from_millis(20)),
        scenario,
    )
    .await;
    for number in [0, 1] {
        let saved = harness.progress(SEATS, partition(number)).await;
        assert_eq!(Some(saved), harness.announced(SEATS, partition(number)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_saves_its_announced_progress() {
    let harness = ProjectorHarness::new();
    let events = harness.append_and_publish(&[(&seat(1, 0), Event::reserved("ada"))]).await;
    let shutdown = Shutdown::new();
    let member =
        run::<Theatre, _, _, _, _, _>(harness.ports(), saving_every(NEVER), watch::Sender::default(), shutdown.clone());
    let scenario = async {
        harness.wait_until_announced(1, events[0].position).await;
        shutdown.begin();
    };
    let (ended, ()) = tokio::join!(member, scenario);
    ended.unwrap();
    assert_eq!(harness.progress(SEATS, partition(1)).await.position, events[0].position);
}

/// The read database was put back to an older copy, and the cache was not emptied: a query must not take the rows that
/// the projector has not made again for rows up to the old announcement.
#[tokio::test(start_paused = true)]
async fn an_announcement_from_before_a_restore_of_the_read_database_is_withdrawn() {
    let harness = ProjectorHarness::new();
    let events = harness.append_and_publish(&[(&seat(1, 0), Event::reserved("ada"))]).await;
    let far = Progress { position: Position::new(1 << 40, 0).unwrap(), ..Progress::default() };
    let left_over =
        encode_progress_announcement(&[ProgressUpdate { view: SEATS, partition: partition(1), progress: far }]);
    let key = announcement_key::<Theatre>(partition(1));
    harness.cache.refresh(PROGRESS_ANNOUNCEMENTS, &[(key, left_over)]).await.unwrap();
    let is_announced = async || {
        let announced = harness.announced(SEATS, partition(1)).await;
        announced.is_some_and(|announced| announced.position == events[0].position)
    };
    let announced = harness.wait_until("only what is in the rows is announced", is_announced);
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), saving_every(NEVER), announced).await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_is_saved_at_once_without_an_announcement() {
    let harness = ProjectorHarness::new();
    let bad = seat(1, 0);
    let unknown = harness.store_unknown(&bad).await;
    harness.publish(&unknown).await;
    let is_parked = async || !harness.parked(SEATS, partition(1)).await.is_empty();
    let parked = harness.wait_until("the stream is parked", is_parked);
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), saving_every(NEVER), parked).await;
    assert_eq!(harness.announced(SEATS, partition(1)).await, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_announced_with_an_interval_of_zero() {
    let harness = ProjectorHarness::new();
    harness.append_and_publish(&[(&seat(1, 0), Event::reserved("ada"))]).await;
    let scenario = harness.wait_until_projected::<Theatre>();
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), saving_every(Duration::ZERO), scenario).await;
    assert_eq!(harness.announced(SEATS, partition(1)).await, None);
}

/// Two versions of the program announce at the same time: neither hides what the other one announces.
#[tokio::test(start_paused = true)]
async fn projectors_of_other_views_announce_beside_each_other() {
    type Next = Amended<NextGeneration>;
    let harness = ProjectorHarness::new();
    let mut next = saving_every(NEVER);
    next.group = "next".into();
    let scenario = async {
        for number in 0..5 {
            let events = harness.append_and_publish(&[(&seat(1, number), Event::reserved("ada"))]).await;
            harness.wait_until_announced(1, events[0].position).await;
            let is_announced = async || {
                let announced = harness.announced_by::<Next>(SEATS_NEXT, partition(1)).await;
                announced.is_some_and(|announced| announced.position >= events[0].position)
            };
            harness.wait_until("the other version announces its own views", is_announced).await;
            assert!(harness.announced(SEATS, partition(1)).await.is_some(), "and does not hide the first one");
        }
    };
    let both = run_projector_during::<Next, _, _, _, _, _, _>(harness.ports(), next, scenario);
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), saving_every(NEVER), both).await;
}
