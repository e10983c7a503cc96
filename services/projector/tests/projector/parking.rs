//! Events that cannot be projected: their streams are parked, everything else continues.

use std::time::Duration;

use diptych_kernel::{
    StreamId,
    domain::Domain,
    testing::theatre::{Event, GUESTS, HOUSES, SEATS, Theatre, UNFOLDABLE, VISITS},
};

use diptych_projector::ProjectorConfig;
use diptych_runtime::pause;

use crate::{
    amended::{Amended, FoldsUnfoldable, LATECOMER, ReadsUnknown},
    harness::{ProjectorHarness, config, partition, run_projector_during, seat},
    stores::ScreenedEvents,
};

const OF_STREAMS: [diptych_kernel::domain::ViewId; 3] = [SEATS, VISITS, GUESTS];

impl ProjectorHarness {
    /// Waits until the views over single streams have passed all stored events of a partition.
    async fn wait_until_passed(&self, number: u16) {
        let all = self.all_events().await;
        let last = all.iter().rev().find(|event| event.partition == partition(number)).unwrap().position;
        let is_there = async || {
            let mut passed = true;
            for view in OF_STREAMS {
                passed &= self.progress(view, partition(number)).await.position >= last;
            }
            passed
        };
        self.wait_until("the other streams continue", is_there).await;
    }
}

/// A seat whose third event cannot be decoded, another seat of the same partition, and one of another partition.
async fn store_undecodable_event(harness: &ProjectorHarness) -> [StreamId; 3] {
    let [bad, good, far] = [seat(0, 0), seat(0, 1), seat(1, 0)];
    harness.append_and_publish(&[(&bad, Event::reserved("ada")), (&good, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&bad, Event::released("ada"))]).await;
    let unknown = harness.store_unknown(&bad).await;
    harness.publish(&unknown).await;
    harness.append_and_publish(&[(&bad, Event::released(LATECOMER)), (&good, Event::released("bob"))]).await;
    harness.append_and_publish(&[(&far, Event::reserved("eve")), (&good, Event::reserved("eve"))]).await;
    [bad, good, far]
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_decoded_parks_its_stream_in_every_view() {
    let harness = ProjectorHarness::new();
    let [bad, good, far] = store_undecodable_event(&harness).await;
    harness.project(harness.wait_until_passed(0)).await;
    harness.project(harness.wait_until_passed(1)).await;
    for view in OF_STREAMS {
        assert_eq!(harness.parked(view, partition(0)).await, [(bad.clone(), 3)], "{view}");
        assert!(harness.parked(view, partition(1)).await.is_empty());
    }
    assert_eq!(harness.parked(HOUSES, partition(0)).await, [(bad.clone(), 3)]);
    assert_eq!(harness.seat(&bad).await, Some((2, None)));
    assert_eq!(harness.seat(&good).await, Some((3, Some("eve".into()))));
    assert_eq!(harness.seat(&far).await, Some((1, Some("eve".into()))));
    // The count is blocked before the event.
    let unknown = harness.all_events().await[3].position;
    assert_eq!(harness.house(partition(0)).await, (1, 3));
    assert!(harness.progress(HOUSES, partition(0)).await.position < unknown);
    assert_eq!(harness.house(partition(1)).await, (1, 1));
    let report = harness.assert_no_difference().await;
    assert_eq!(report.parked.len(), 4);
    assert!(!report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_stays_parked_over_retries_and_restarts() {
    let harness = ProjectorHarness::new();
    let [bad, good, _] = store_undecodable_event(&harness).await;
    for _ in 0..3 {
        let scenario = async {
            harness.wait_until_passed(0).await;
            let until = tokio::time::Instant::now() + config("one").park_retry_interval * 3;
            harness.wait_until("several retries have run", async || tokio::time::Instant::now() >= until).await;
            harness.append_and_publish(&[(&good, Event::released("eve")), (&good, Event::reserved("eve"))]).await;
            harness.wait_until_passed(0).await;
        };
        harness.project(scenario).await;
        assert_eq!(harness.parked(SEATS, partition(0)).await, [(bad.clone(), 3)]);
        assert_eq!(harness.house(partition(0)).await, (1, 3));
        harness.assert_no_difference().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_can_decode_the_event_resumes_the_stream() {
    type Fixed = Amended<ReadsUnknown>;
    let harness = ProjectorHarness::new();
    let [bad, ..] = store_undecodable_event(&harness).await;
    harness.project(harness.wait_until_passed(0)).await;
    run_projector_during::<Fixed, _, _, _, _, _, _>(
        harness.ports(),
        config("one"),
        harness.wait_until_projected::<Fixed>(),
    )
    .await;
    assert_eq!(harness.seat(&bad).await, Some((4, None)));
    assert_eq!(harness.visits(&bad).await.len(), 4);
    assert_eq!(harness.house(partition(0)).await, (1, 7));
    harness.assert_views_correct_in::<Fixed>().await;
    // Later events of the stream are projected too.
    harness.append_and_publish(&[(&bad, Event::reserved("bob"))]).await;
    run_projector_during::<Fixed, _, _, _, _, _, _>(
        harness.ports(),
        config("one"),
        harness.wait_until_projected::<Fixed>(),
    )
    .await;
    harness.assert_views_correct_in::<Fixed>().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_folded_parks_its_stream_in_one_view() {
    let harness = ProjectorHarness::new();
    let (bad, good) = (seat(0, 0), seat(0, 1));
    harness.append_and_publish(&[(&bad, Event::reserved(UNFOLDABLE)), (&good, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&bad, Event::released(UNFOLDABLE)), (&good, Event::released("bob"))]).await;
    harness.project(harness.wait_until_passed(0)).await;
    assert_eq!(harness.parked(SEATS, partition(0)).await, [(bad.clone(), 1)]);
    for view in [VISITS, GUESTS, HOUSES] {
        assert!(harness.parked(view, partition(0)).await.is_empty(), "{view}");
    }
    assert_eq!(harness.seat(&bad).await, None);
    assert_eq!(harness.seat(&good).await, Some((2, None)));
    assert_eq!(harness.visits(&bad).await.len(), 2);
    assert_eq!(harness.house(partition(0)).await, (0, 4));
    assert_eq!(harness.assert_no_difference().await.parked.len(), 1);
    type Fixed = Amended<FoldsUnfoldable>;
    run_projector_during::<Fixed, _, _, _, _, _, _>(
        harness.ports(),
        config("one"),
        harness.wait_until_projected::<Fixed>(),
    )
    .await;
    assert_eq!(harness.seat(&bad).await.unwrap().0, 2);
    harness.assert_views_correct_in::<Fixed>().await;
}

/// The reason is the scenario for the operator.
#[tokio::test(start_paused = true)]
async fn the_reason_for_parking_is_saved() {
    let harness = ProjectorHarness::new();
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved(UNFOLDABLE))]).await;
    harness.project(harness.wait_until_passed(0)).await;
    let progress = harness.progress(SEATS, partition(0)).await;
    assert!(progress.parked[0].reason.contains("cannot be folded"), "{:?}", progress.parked);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_unavailable_events_is_resumed_when_they_appear() {
    let harness = ProjectorHarness::new();
    let (bad, good) = (seat(0, 0), seat(0, 1));
    harness.append_and_publish(&[(&bad, Event::reserved("ada"))]).await;
    let missing = harness.store(&[(&bad, Event::released("ada"))]).await;
    harness.append_and_publish(&[(&good, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&bad, Event::reserved("eve")), (&good, Event::released("bob"))]).await;
    let events = ScreenedEvents::hiding(&harness.events, &missing[0]);
    let scenario = async {
        harness.wait_until_passed(0).await;
        let is_parked = async || harness.parked(SEATS, partition(0)).await == [(bad.clone(), 2)];
        harness.wait_until("the stream is parked", is_parked).await;
        assert_eq!(harness.parked(HOUSES, partition(0)).await, [(bad.clone(), 2)]);
        assert_eq!(harness.seat(&bad).await, Some((1, Some("ada".into()))), "an event was folded past a missing one");
        assert_eq!(harness.seat(&good).await, Some((2, None)));
        events.show();
        harness.wait_until_projected::<Theatre>().await;
    };
    let ports = harness.ports_with_events(&events);
    run_projector_during::<Theatre, _, _, _, _, _, _>(ports, config("one"), scenario).await;
    assert_eq!(harness.seat(&bad).await, Some((3, Some("eve".into()))));
    assert_eq!(harness.house(partition(0)).await, (1, 5));
    harness.assert_views_correct().await;
    assert_eq!(Theatre::views().len(), 4);
}

/// Pages of 10 events.
fn small_pages() -> ProjectorConfig {
    ProjectorConfig { catch_up_events_max: 10, ..config("one") }
}

/// Publishes this many events of a seat, which is free before and after.
async fn publish_visits(harness: &ProjectorHarness, seat: &StreamId, events: usize) {
    let visit = [(seat, Event::reserved("ada")), (seat, Event::released("ada"))];
    for _ in 0..events / 2 {
        harness.append_and_publish(&visit).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_that_fails_at_its_first_event_costs_one_small_read_per_retry_and_is_retried_ever_later() {
    let harness = ProjectorHarness::new();
    let bad = seat(0, 0);
    let first = harness.append_and_publish(&[(&bad, Event::reserved(UNFOLDABLE))]).await;
    harness.append_and_publish(&[(&bad, Event::released(UNFOLDABLE))]).await;
    publish_visits(&harness, &bad, 300).await;
    let events = ScreenedEvents::hiding(&harness.events, &first[0]);
    events.show();
    let interval = config("one").park_retry_interval;
    let scenario = async {
        harness.wait_until_passed(0).await;
        let mut counts = Vec::new();
        // Between the times at which the retries are due.
        pause(interval / 2).await;
        for _ in 0..=16 {
            counts.push((events.reads_count(), events.stream_events_count()));
            pause(interval).await;
        }
        counts
    };
    let ports = harness.ports_with_events(&events);
    let counts = run_projector_during::<Theatre, _, _, _, _, _, _>(ports, small_pages(), scenario).await;
    let reads: Vec<_> = counts.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    // The first retry also reads the end of the stream, to know its version.
    assert_eq!(reads, [2, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], "reads in each interval");
    let read_events: Vec<_> = counts.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
    assert!(read_events[0] <= 11 && read_events[1..].iter().all(|count| *count <= 2), "{read_events:?}");
    assert_eq!(harness.parked(SEATS, partition(0)).await, [(bad, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_in_every_view_is_not_read_past_its_first_event() {
    let harness = ProjectorHarness::new();
    let bad = seat(0, 0);
    let unknown = harness.store_unknown(&bad).await;
    harness.publish(&unknown).await;
    publish_visits(&harness, &bad, 300).await;
    let events = ScreenedEvents::hiding(&harness.events, &unknown[0]);
    events.show();
    let interval = config("one").park_retry_interval;
    let scenario = async {
        harness.wait_until_passed(0).await;
        pause(interval * 3 / 2).await;
        let before = events.reads_count();
        pause(interval).await;
        events.reads_count() - before
    };
    let ports = harness.ports_with_events(&events);
    let reads = run_projector_during::<Theatre, _, _, _, _, _, _>(ports, small_pages(), scenario).await;
    // The stream, whether the view that it blocks can continue, and the event at which that view is blocked again.
    assert_eq!(reads, 3);
    for view in OF_STREAMS {
        assert_eq!(harness.parked(view, partition(0)).await, [(bad.clone(), 1)], "{view}");
    }
    assert_eq!(harness.parked(HOUSES, partition(0)).await, [(bad, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_long_parked_stream_resumes_page_by_page_while_the_log_is_projected_and_keeps_its_place() {
    type Fixed = Amended<FoldsUnfoldable>;
    const VISITS_COUNT: usize = 400;
    let harness = ProjectorHarness::new();
    let (bad, good) = (seat(0, 0), seat(0, 1));
    let first = harness.append_and_publish(&[(&bad, Event::reserved(UNFOLDABLE))]).await;
    harness.append_and_publish(&[(&bad, Event::released(UNFOLDABLE))]).await;
    publish_visits(&harness, &bad, VISITS_COUNT).await;
    harness.project(harness.wait_until_passed(0)).await;
    assert_eq!(harness.parked(SEATS, partition(0)).await, [(bad.clone(), 1)]);
    let events = ScreenedEvents::hiding(&harness.events, &first[0]);
    events.show();
    events.set_delay(Duration::from_secs(1));
    let place = async || harness.parked(SEATS, partition(0)).await.first().map(|(_, version)| *version);
    let scenario = async {
        harness.wait_until("the first pages are stored", async || place().await > Some(20)).await;
        harness.append_and_publish(&[(&good, Event::reserved("bob")), (&bad, Event::reserved("eve"))]).await;
        let is_there = async || harness.seat(&good).await.is_some();
        harness.wait_until("the log is projected meanwhile", is_there).await;
        place().await
    };
    let ports = harness.ports_with_events(&events);
    let kept = run_projector_during::<Fixed, _, _, _, _, _, _>(ports.clone(), small_pages(), scenario).await;
    let kept = usize::try_from(kept.expect("the stream must still be parked")).unwrap();
    assert!((20..VISITS_COUNT).contains(&kept), "{kept}");
    let before = events.stream_events_count();
    let finish = harness.wait_until_projected::<Fixed>();
    run_projector_during::<Fixed, _, _, _, _, _, _>(ports, small_pages(), finish).await;
    // Each page reads one event more than it has.
    let (read, remaining) = (events.stream_events_count() - before, VISITS_COUNT + 3 - kept);
    assert!(read <= remaining + remaining / 10 + 2, "read {read} events, although only {remaining} were missing");
    harness.assert_views_correct_in::<Fixed>().await;
}

#[tokio::test(start_paused = true)]
async fn a_view_that_fails_does_not_delay_the_others_and_is_not_tried_again_for_each_page() {
    type Fixed = Amended<ReadsUnknown>;
    let harness = ProjectorHarness::new();
    let bad = seat(0, 0);
    let first = harness.append_and_publish(&[(&bad, Event::reserved(UNFOLDABLE))]).await;
    harness.append_and_publish(&[(&bad, Event::released(UNFOLDABLE))]).await;
    let unknown = harness.store_unknown(&bad).await;
    harness.publish(&unknown).await;
    harness.append_and_publish(&[(&bad, Event::released(LATECOMER))]).await;
    publish_visits(&harness, &bad, 100).await;
    harness.project(harness.wait_until_passed(0)).await;
    let events = ScreenedEvents::hiding(&harness.events, &first[0]);
    events.show();
    let scenario = async {
        let are_there = async || {
            let mut are_there = true;
            for view in [VISITS, GUESTS, HOUSES] {
                are_there &= harness.parked(view, partition(0)).await.is_empty();
            }
            are_there
        };
        harness.wait_until("the other views have the stream", are_there).await;
        pause(config("one").park_retry_interval / 2).await;
    };
    let ports = harness.ports_with_events(&events);
    run_projector_during::<Fixed, _, _, _, _, _, _>(ports, small_pages(), scenario).await;
    assert_eq!(harness.parked(SEATS, partition(0)).await, [(bad.clone(), 1)]);
    assert_eq!(harness.visits(&bad).await.len(), 104);
    assert_eq!(harness.house(partition(0)).await, (0, 104));
    assert!(events.stream_events_count() <= 2 * 104, "{}", events.stream_events_count());
    let report = harness.audit::<Fixed>().await;
    assert_eq!(report.differences_count, 0, "{:#?}", report.differences);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_missing_records_is_complete_again_after_all_views_failed_at_one_of_them() {
    type Fixed = Amended<ReadsUnknown>;
    let harness = ProjectorHarness::new();
    let bad = seat(0, 0);
    harness.append_and_publish(&[(&bad, Event::reserved("ada"))]).await;
    harness.append_and_publish(&[(&bad, Event::released("ada"))]).await;
    // Missing in the log, and cannot be decoded either.
    harness.store_unknown(&bad).await;
    harness.append_and_publish(&[(&bad, Event::released(LATECOMER))]).await;
    publish_visits(&harness, &bad, 50).await;
    let scenario = async {
        harness.wait_until_passed(0).await;
        pause(config("one").park_retry_interval * 3).await;
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), small_pages(), scenario).await;
    assert_eq!(harness.parked(SEATS, partition(0)).await, [(bad.clone(), 3)]);
    assert_eq!(harness.parked(HOUSES, partition(0)).await, [(bad.clone(), 3)]);
    harness.assert_no_difference().await;
    let finish = async {
        harness.wait_until_projected::<Fixed>().await;
        // The stream's version is known: its next event is not taken for one that skips versions.
        harness.append_and_publish(&[(&bad, Event::reserved("eve"))]).await;
        harness.wait_until_projected::<Fixed>().await;
    };
    run_projector_during::<Fixed, _, _, _, _, _, _>(harness.ports(), small_pages(), finish).await;
    harness.assert_views_correct_in::<Fixed>().await;
}
