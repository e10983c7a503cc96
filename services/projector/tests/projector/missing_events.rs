//! Records that are missing in the log.

use std::time::Duration;

use diptych_kernel::{
    ports::{Consumer, EventLog, LogSignal},
    testing::theatre::{Event, HOUSES, Theatre},
};

use crate::{
    harness::{ProjectorHarness, config, partition, run_projector_during, seat},
    stores::ScreenedEvents,
};

/// Trims the log to the last record of each partition, although the others were not projected: the group has committed
/// more than the read database has stored.
async fn lose_all_but_the_last(harness: &ProjectorHarness) {
    let mut consumer = harness.log.join("projectors", "forgetful").await.unwrap();
    let signal = consumer.poll(1, Duration::from_secs(30)).await.unwrap();
    let LogSignal::Assigned(assigned) = signal else { panic!("{signal:?}") };
    let ends = harness.log.ends().await.unwrap();
    let offsets: Vec<_> = assigned
        .iter()
        .map(|assignment| (assignment.partition, ends[assignment.partition.index()].next_offset))
        .collect();
    consumer.commit(&offsets).await.unwrap();
    drop(consumer);
    assert!(harness.log.trim(1, 1_000).await.unwrap() > 0, "the log has to be trimmed");
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_the_log_is_missing() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.append_and_publish(&[(&b, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&a, Event::released("ada"))]).await;
    lose_all_but_the_last(&harness).await;
    harness.project_all().await;
    assert_eq!(harness.house(partition(0)).await, (1, 3));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn records_after_the_stored_progress_are_missing() {
    let harness = ProjectorHarness::new();
    let (a, b, c) = (seat(0, 0), seat(0, 1), seat(0, 2));
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.project_all().await;
    // The remaining event's stream does not show that an event of another stream is missing: only the offset does.
    harness.append_and_publish(&[(&b, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&c, Event::reserved("eve"))]).await;
    lose_all_but_the_last(&harness).await;
    harness.project_all().await;
    assert_eq!(harness.house(partition(0)).await, (3, 3));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_is_missing() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.store(&[(&a, Event::released("ada"))]).await;
    harness.store(&[(&a, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&b, Event::reserved("eve"))]).await;
    harness.append_and_publish(&[(&a, Event::released("bob"))]).await;
    harness.project_all().await;
    assert_eq!(harness.seat(&a).await, Some((4, None)));
    assert_eq!(harness.house(partition(0)).await, (1, 5));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn a_version_is_missing_in_a_later_batch() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.project_all().await;
    harness.store(&[(&a, Event::released("ada"))]).await;
    harness.append_and_publish(&[(&b, Event::reserved("bob"))]).await;
    let scenario = async {
        let is_past = async || harness.house(partition(0)).await == (2, 2);
        harness.wait_until("the later event of another stream is folded", is_past).await;
        harness.append_and_publish(&[(&a, Event::reserved("eve"))]).await;
        harness.wait_until_projected::<Theatre>().await;
    };
    harness.project(scenario).await;
    // The count had passed the missing event, and was rebuilt.
    assert_eq!(harness.house(partition(0)).await, (2, 4));
    harness.assert_views_correct().await;
    harness.append_and_publish(&[(&a, Event::released("eve"))]).await;
    harness.project_all().await;
    assert_eq!(harness.house(partition(0)).await, (1, 5));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_version_is_missing() {
    let harness = ProjectorHarness::new();
    let a = seat(0, 0);
    harness.store(&[(&a, Event::reserved("ada"))]).await;
    harness.append_and_publish(&[(&a, Event::released("ada"))]).await;
    harness.project_all().await;
    assert_eq!(harness.seat(&a).await, Some((2, None)));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_events_are_missing_and_a_watermark_shows_it() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.store(&[(&b, Event::reserved("bob"))]).await;
    harness.store(&[(&a, Event::released("ada"))]).await;
    harness.watermark(partition(0)).await;
    harness.project_all().await;
    assert_eq!(harness.house(partition(0)).await, (1, 3));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn all_events_of_a_partition_are_missing_and_a_watermark_shows_it() {
    let harness = ProjectorHarness::new();
    harness.store(&[(&seat(1, 0), Event::reserved("ada"))]).await;
    harness.watermark(partition(1)).await;
    harness.project_all().await;
    harness.assert_views_correct().await;
}

/// The count is blocked by one stream before a missing event of another stream is detected, which the count has passed.
#[tokio::test(start_paused = true)]
async fn events_of_two_streams_are_missing_and_one_was_passed() {
    let harness = ProjectorHarness::new();
    let (a, b, c) = (seat(0, 0), seat(0, 1), seat(0, 2));
    harness.store(&[(&b, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&c, Event::reserved("eve"))]).await;
    harness.store(&[(&a, Event::reserved("ada"))]).await;
    harness.append_and_publish(&[(&a, Event::released("ada"))]).await;
    harness.append_and_publish(&[(&b, Event::released("bob"))]).await;
    harness.append_and_publish(&[(&c, Event::released("eve"))]).await;
    let scenario = async {
        let is_known = async || harness.seat(&b).await == Some((2, None)) && harness.seat(&a).await == Some((2, None));
        harness.wait_until("both streams are complete", is_known).await;
        harness.append_and_publish(&[(&c, Event::reserved("eve"))]).await;
        harness.wait_until_projected::<Theatre>().await;
    };
    harness.project(scenario).await;
    assert_eq!(harness.house(partition(0)).await, (1, 7));
    harness.assert_views_correct().await;
}

/// Resuming a stream for the count alone must not count as resuming it in the views that have not missed its event yet.
#[tokio::test(start_paused = true)]
async fn an_event_arrives_late_and_the_next_one_of_its_stream_is_lost() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    let late = harness.store(&[(&a, Event::reserved("ada"))]).await;
    harness.store(&[(&a, Event::released("ada"))]).await;
    harness.append_and_publish(&[(&b, Event::reserved("bob"))]).await;
    let scenario = async {
        harness.wait_until("the later event is folded", async || harness.house(partition(0)).await == (1, 1)).await;
        harness.publish(&late).await;
        harness.wait_until("the late event is folded", async || harness.seat(&a).await.is_some()).await;
        harness.append_and_publish(&[(&b, Event::released("bob"))]).await;
        harness.wait_until("the count is rebuilt", async || harness.house(partition(0)).await.1 >= 3).await;
        harness.append_and_publish(&[(&a, Event::reserved("eve"))]).await;
        harness.append_and_publish(&[(&b, Event::reserved("bob"))]).await;
        harness.wait_until_projected::<Theatre>().await;
    };
    harness.project(scenario).await;
    assert_eq!(harness.visits(&a).await.len(), 3);
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_arrives_after_later_ones_of_other_streams() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    let late = harness.store(&[(&a, Event::reserved("ada"))]).await;
    harness.append_and_publish(&[(&b, Event::reserved("bob"))]).await;
    let scenario = async {
        harness.wait_until("the later event is folded", async || harness.house(partition(0)).await == (1, 1)).await;
        harness.publish(&late).await;
        harness.wait_until("the late event is folded", async || harness.seat(&a).await.is_some()).await;
        // The count is stored at the newest position, so it cannot be replaced yet (G7). It stays parked.
        harness
            .wait_until("the stream is parked in the count", async || {
                harness.parked(HOUSES, partition(0)).await == [(a.clone(), 1)]
            })
            .await;
        assert_eq!(harness.house(partition(0)).await, (1, 1));
        harness.append_and_publish(&[(&b, Event::released("bob"))]).await;
        harness.wait_until_projected::<Theatre>().await;
        assert_eq!(harness.house(partition(0)).await, (1, 3));
    };
    harness.project(scenario).await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn missing_events_are_read_when_the_write_database_is_back() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(1, 0));
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    let missing = harness.store(&[(&a, Event::released("ada"))]).await;
    harness.append_and_publish(&[(&a, Event::reserved("bob"))]).await;
    let events = ScreenedEvents::hiding(&harness.events, &missing[0]);
    events.show();
    events.set_down(true);
    let scenario = async {
        harness.wait_until("the write database is read", async || events.reads_count() > 3).await;

        harness.append_and_publish(&[(&b, Event::reserved("eve"))]).await;
        harness.wait_until("the other partition continues", async || harness.house(partition(1)).await == (1, 1)).await;
        let end = harness.all_events().await[1].position;
        assert!(harness.progress(HOUSES, partition(0)).await.position < end, "progress must not pass a missing event");
        assert_ne!(harness.seat(&a).await, Some((3, Some("bob".into()))), "an event was folded past a missing one");
        events.set_down(false);
        harness.wait_until_projected::<Theatre>().await;
    };
    let ports = harness.ports_with_events(&events);
    run_projector_during::<Theatre, _, _, _, _, _, _>(ports, config("one"), scenario).await;
    harness.assert_views_correct().await;
}
