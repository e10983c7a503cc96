//! Views that were not there before, and a log that is not the one that was there before.

use diptych_kernel::{
    domain::RowKey,
    ports::ViewStore,
    testing::theatre::{Event, HOUSES, SEATS, Theatre, VISITS},
};

use crate::{
    amended::{Amended, NextGeneration, SEATS_ANEW},
    stage::{Stage, config, partition, partitions, playing, seat},
    workload::Evening,
};

type Next = Amended<NextGeneration>;

async fn an_evening(stage: &Stage, evening: &mut Evening, commands: usize) {
    for _ in 0..commands {
        let events = evening.next();
        stage.happen(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_is_filled_from_the_write_database() {
    let mut stage = Stage::new();
    an_evening(&stage, &mut Evening::new(4), 50).await;
    stage.project_all().await;
    let before = (
        stage.views.scan_all(SEATS, None, 1_000).await.unwrap(),
        stage.views.scan_all(HOUSES, None, 1_000).await.unwrap(),
        stage.progress(VISITS, partition(0)).await,
    );
    // The log has nothing of it any more.
    stage.make_log_anew();
    playing::<Next, _, _, _, _, _, _>(stage.ports(), config("one"), stage.until_projected::<Next>()).await;
    stage.assert_right_in::<Next>().await;
    assert_eq!(stage.views.scan_all(SEATS_ANEW, None, 1_000).await.unwrap(), before.0);
    assert_eq!(stage.views.scan_all(SEATS, None, 1_000).await.unwrap(), before.0);
    assert_eq!(stage.views.scan_all(HOUSES, None, 1_000).await.unwrap(), before.1);
    assert_eq!(stage.progress(VISITS, partition(0)).await.position, before.2.position);
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_goes_on_with_the_others() {
    let stage = Stage::new();
    let mut evening = Evening::new(5);
    an_evening(&stage, &mut evening, 30).await;
    stage.project_all().await;
    let old = stage.progress(SEATS, partition(0)).await;
    let mut small = config("one");
    small.catch_up_events_max = 3;
    let story = async {
        an_evening(&stage, &mut evening, 30).await;
        stage.until_projected::<Next>().await;
    };
    playing::<Next, _, _, _, _, _, _>(stage.ports(), small, story).await;
    stage.assert_right_in::<Next>().await;
    assert_eq!(stage.progress(SEATS, partition(0)).await, old, "the old generation is not touched");
}

/// The other way round: an older release runs again beside a newer one's tables.
#[tokio::test(start_paused = true)]
async fn an_old_generation_can_be_gone_back_to() {
    let stage = Stage::new();
    let mut evening = Evening::new(6);
    an_evening(&stage, &mut evening, 20).await;
    stage.project_all().await;
    an_evening(&stage, &mut evening, 20).await;
    playing::<Next, _, _, _, _, _, _>(stage.ports(), config("one"), stage.until_projected::<Next>()).await;
    an_evening(&stage, &mut evening, 20).await;
    stage.project_all().await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_was_made_anew() {
    let mut stage = Stage::new();
    let mut evening = Evening::new(7);
    an_evening(&stage, &mut evening, 40).await;
    stage.project_all().await;
    stage.make_log_anew();
    let guests: Vec<_> = partitions().iter().map(|partition| seat(partition.number(), 200)).collect();
    for seat in &guests {
        stage.happen(&[(seat, Event::reserved("ada"))]).await;
    }
    stage.project_all().await;
    stage.assert_right().await;
    an_evening(&stage, &mut evening, 40).await;
    stage.project_all().await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_was_made_anew_and_filled_from_the_first_event_on() {
    let mut stage = Stage::new();
    let mut evening = Evening::new(8);
    an_evening(&stage, &mut evening, 40).await;
    stage.project_all().await;
    stage.make_log_anew();
    let all = stage.all_events().await;
    stage.publish(&all).await;
    an_evening(&stage, &mut evening, 10).await;
    stage.project_all().await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn the_read_database_was_made_anew() {
    let mut stage = Stage::new();
    an_evening(&stage, &mut Evening::new(9), 40).await;
    stage.project_all().await;
    stage.make_views_anew();
    // The group has committed the end of the log; the views' progress is what counts.
    stage.project_all().await;
    stage.assert_right().await;
    let key = RowKey::single("seat-none");
    assert_eq!(stage.row(SEATS, &key).await, None);
    assert!(stage.audit::<Theatre>().await.events > 40);
}
