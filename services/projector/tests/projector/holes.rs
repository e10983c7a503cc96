//! Records that are missing on the log.

use std::time::Duration;

use diptych_kernel::{
    ports::{Consumer, EventLog, LogSignal},
    testing::theatre::{Event, HOUSES, Theatre},
};
use diptych_projector::Ports;

use crate::{
    stage::{Stage, config, partition, playing, seat},
    stores::ScreenedEvents,
};

/// Lets retention take everything but the last record of each partition, though it was not projected: the group has committed more than
/// the read database kept.
async fn lose_all_but_the_last(stage: &Stage) {
    let mut consumer = stage.log.join("projectors", "forgetful").await.unwrap();
    let given = consumer.poll(1, Duration::from_secs(30)).await.unwrap();
    let LogSignal::Assigned(assigned) = given else { panic!("{given:?}") };
    let ends = stage.log.ends().await.unwrap();
    let offsets: Vec<_> =
        assigned.iter().map(|given| (given.partition, ends[given.partition.index()].next_offset)).collect();
    consumer.commit(&offsets).await.unwrap();
    drop(consumer);
    assert!(stage.log.trim(1, 1_000).await.unwrap() > 0, "nothing was lost");
}

#[tokio::test(start_paused = true)]
async fn retention_took_the_beginning() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.happen(&[(&b, Event::reserved("bob"))]).await;
    stage.happen(&[(&a, Event::released("ada"))]).await;
    lose_all_but_the_last(&stage).await;
    stage.project_all().await;
    assert_eq!(stage.house(partition(0)).await, (1, 3));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn retention_took_what_came_after_progress() {
    let stage = Stage::new();
    let (a, b, c) = (seat(0, 0), seat(0, 1), seat(0, 2));
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.project_all().await;
    // The stream of what is left does not show that another one's event is missing: only the offset does.
    stage.happen(&[(&b, Event::reserved("bob"))]).await;
    stage.happen(&[(&c, Event::reserved("eve"))]).await;
    lose_all_but_the_last(&stage).await;
    stage.project_all().await;
    assert_eq!(stage.house(partition(0)).await, (3, 3));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_is_missing() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.store(&[(&a, Event::released("ada"))]).await;
    stage.store(&[(&a, Event::reserved("bob"))]).await;
    stage.happen(&[(&b, Event::reserved("eve"))]).await;
    stage.happen(&[(&a, Event::released("bob"))]).await;
    stage.project_all().await;
    assert_eq!(stage.seat(&a).await, Some((4, None)));
    assert_eq!(stage.house(partition(0)).await, (1, 5));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_is_missing_in_a_later_batch() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.project_all().await;
    stage.store(&[(&a, Event::released("ada"))]).await;
    stage.happen(&[(&b, Event::reserved("bob"))]).await;
    let story = async {
        let is_past = async || stage.house(partition(0)).await == (2, 2);
        stage.until("the later event of another stream is folded", is_past).await;
        stage.happen(&[(&a, Event::reserved("eve"))]).await;
        stage.until_projected::<Theatre>().await;
    };
    stage.project(story).await;
    // The count had passed the missing event by, and was made anew.
    assert_eq!(stage.house(partition(0)).await, (2, 4));
    stage.assert_right().await;
    stage.happen(&[(&a, Event::released("eve"))]).await;
    stage.project_all().await;
    assert_eq!(stage.house(partition(0)).await, (1, 5));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_version_is_missing() {
    let stage = Stage::new();
    let a = seat(0, 0);
    stage.store(&[(&a, Event::reserved("ada"))]).await;
    stage.happen(&[(&a, Event::released("ada"))]).await;
    stage.project_all().await;
    assert_eq!(stage.seat(&a).await, Some((2, None)));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_events_are_missing_and_a_watermark_says_so() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.store(&[(&b, Event::reserved("bob"))]).await;
    stage.store(&[(&a, Event::released("ada"))]).await;
    stage.watermark(partition(0)).await;
    stage.project_all().await;
    assert_eq!(stage.house(partition(0)).await, (1, 3));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn all_events_of_a_partition_are_missing_and_a_watermark_says_so() {
    let stage = Stage::new();
    stage.store(&[(&seat(1, 0), Event::reserved("ada"))]).await;
    stage.watermark(partition(1)).await;
    stage.project_all().await;
    stage.assert_right().await;
}

/// The count stands still for one stream before what another one misses is known; that one's event is one that the count had passed by.
#[tokio::test(start_paused = true)]
async fn two_streams_miss_events_and_one_of_them_was_passed_by() {
    let stage = Stage::new();
    let (a, b, c) = (seat(0, 0), seat(0, 1), seat(0, 2));
    stage.store(&[(&b, Event::reserved("bob"))]).await;
    stage.happen(&[(&c, Event::reserved("eve"))]).await;
    stage.store(&[(&a, Event::reserved("ada"))]).await;
    stage.happen(&[(&a, Event::released("ada"))]).await;
    stage.happen(&[(&b, Event::released("bob"))]).await;
    stage.happen(&[(&c, Event::released("eve"))]).await;
    let story = async {
        let is_known = async || stage.seat(&b).await == Some((2, None)) && stage.seat(&a).await == Some((2, None));
        stage.until("the streams are whole", is_known).await;
        stage.happen(&[(&c, Event::reserved("eve"))]).await;
        stage.until_projected::<Theatre>().await;
    };
    stage.project(story).await;
    assert_eq!(stage.house(partition(0)).await, (1, 7));
    stage.assert_right().await;
}

/// Taking up a stream for the count alone must not count as taking it up in the views that have not missed it yet.
#[tokio::test(start_paused = true)]
async fn an_event_comes_late_and_the_next_one_of_its_stream_is_lost() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    let late = stage.store(&[(&a, Event::reserved("ada"))]).await;
    stage.store(&[(&a, Event::released("ada"))]).await;
    stage.happen(&[(&b, Event::reserved("bob"))]).await;
    let story = async {
        stage.until("the later event is folded", async || stage.house(partition(0)).await == (1, 1)).await;
        stage.publish(&late).await;
        stage.until("the late event is folded", async || stage.seat(&a).await.is_some()).await;
        stage.happen(&[(&b, Event::released("bob"))]).await;
        stage.until("the count is made anew", async || stage.house(partition(0)).await.1 >= 3).await;
        stage.happen(&[(&a, Event::reserved("eve"))]).await;
        stage.happen(&[(&b, Event::reserved("bob"))]).await;
        stage.until_projected::<Theatre>().await;
    };
    stage.project(story).await;
    assert_eq!(stage.visits(&a).await.len(), 3);
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_comes_after_later_ones_of_other_streams() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    let late = stage.store(&[(&a, Event::reserved("ada"))]).await;
    stage.happen(&[(&b, Event::reserved("bob"))]).await;
    let story = async {
        stage.until("the later event is folded", async || stage.house(partition(0)).await == (1, 1)).await;
        stage.publish(&late).await;
        stage.until("the late event is folded", async || stage.seat(&a).await.is_some()).await;
        // The count is stored at the newest position there is, so nothing can take its place yet (G7). It says that it is not right.
        stage
            .until("the count stands still", async || stage.parked(HOUSES, partition(0)).await == [(a.clone(), 1)])
            .await;
        assert_eq!(stage.house(partition(0)).await, (1, 1));
        stage.happen(&[(&b, Event::released("bob"))]).await;
        stage.until_projected::<Theatre>().await;
        assert_eq!(stage.house(partition(0)).await, (1, 3));
    };
    stage.project(story).await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_when_the_write_database_is_back() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(1, 0));
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    let missing = stage.store(&[(&a, Event::released("ada"))]).await;
    stage.happen(&[(&a, Event::reserved("bob"))]).await;
    let events = ScreenedEvents::hiding(&stage.events, &missing[0]);
    events.show();
    events.set_down(true);
    let story = async {
        stage.until("the write database is asked", async || events.reads_count() > 3).await;
        // Other partitions go on meanwhile.
        stage.happen(&[(&b, Event::reserved("eve"))]).await;
        stage.until("the other partition goes on", async || stage.house(partition(1)).await == (1, 1)).await;
        let end = stage.all_events().await[1].position;
        assert!(stage.progress(HOUSES, partition(0)).await.position < end, "progress passes a hole by");
        assert_ne!(stage.seat(&a).await, Some((3, Some("bob".into()))), "an event was folded over a hole");
        events.set_down(false);
        stage.until_projected::<Theatre>().await;
    };
    let honest = stage.ports();
    let ports = Ports {
        events: events.clone(),
        log: honest.log,
        views: honest.views,
        progress: honest.progress,
        cache: honest.cache,
    };
    playing::<Theatre, _, _, _, _, _, _>(ports, config("one"), story).await;
    stage.assert_right().await;
}
