//! Events that cannot be projected: their streams stand still, everything else goes on.

use diptych_kernel::{
    StreamId,
    domain::Domain,
    testing::theatre::{Event, GUESTS, HOUSES, SEATS, Theatre, UNFOLDABLE, VISITS},
};
use diptych_projector::Ports;

use crate::{
    amended::{Amended, FoldsUnfoldable, LATECOMER, ReadsUnknown},
    stage::{Stage, config, partition, playing, seat},
    stores::ScreenedEvents,
};

const OF_STREAMS: [diptych_kernel::domain::ViewId; 3] = [SEATS, VISITS, GUESTS];

impl Stage {
    /// Waits until the views of streams have passed everything by that is stored.
    async fn until_passed(&self, number: u16) {
        let all = self.all_events().await;
        let last = all.iter().rev().find(|event| event.partition == partition(number)).unwrap().position;
        let is_there = async || {
            let mut passed = true;
            for view in OF_STREAMS {
                passed &= self.progress(view, partition(number)).await.position >= last;
            }
            passed
        };
        self.until("the other streams go on", is_there).await;
    }
}

/// A seat whose third event cannot be read, another one of the same partition, and one of another.
async fn an_unreadable_seat(stage: &Stage) -> [StreamId; 3] {
    let [bad, good, far] = [seat(0, 0), seat(0, 1), seat(1, 0)];
    stage.happen(&[(&bad, Event::reserved("ada")), (&good, Event::reserved("bob"))]).await;
    stage.happen(&[(&bad, Event::released("ada"))]).await;
    let unknown = stage.store_unknown(&bad).await;
    stage.publish(&unknown).await;
    stage.happen(&[(&bad, Event::released(LATECOMER)), (&good, Event::released("bob"))]).await;
    stage.happen(&[(&far, Event::reserved("eve")), (&good, Event::reserved("eve"))]).await;
    [bad, good, far]
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_parks_its_stream_in_every_view() {
    let stage = Stage::new();
    let [bad, good, far] = an_unreadable_seat(&stage).await;
    stage.project(stage.until_passed(0)).await;
    stage.project(stage.until_passed(1)).await;
    for view in OF_STREAMS {
        assert_eq!(stage.parked(view, partition(0)).await, [(bad.clone(), 3)], "{view}");
        assert!(stage.parked(view, partition(1)).await.is_empty());
    }
    assert_eq!(stage.parked(HOUSES, partition(0)).await, [(bad.clone(), 3)]);
    assert_eq!(stage.seat(&bad).await, Some((2, None)));
    assert_eq!(stage.seat(&good).await, Some((3, Some("eve".into()))));
    assert_eq!(stage.seat(&far).await, Some((1, Some("eve".into()))));
    // The count stands before the event, and says so.
    let unknown = stage.all_events().await[3].position;
    assert_eq!(stage.house(partition(0)).await, (1, 3));
    assert!(stage.progress(HOUSES, partition(0)).await.position < unknown);
    assert_eq!(stage.house(partition(1)).await, (1, 1));
    let report = stage.assert_no_difference().await;
    assert_eq!(report.parked.len(), 4);
    assert!(!report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_stays_parked_over_retries_and_restarts() {
    let stage = Stage::new();
    let [bad, good, _] = an_unreadable_seat(&stage).await;
    for _ in 0..3 {
        let story = async {
            stage.until_passed(0).await;
            let until = tokio::time::Instant::now() + config("one").park_retry * 3;
            stage.until("it was tried again", async || tokio::time::Instant::now() >= until).await;
            stage.happen(&[(&good, Event::released("eve")), (&good, Event::reserved("eve"))]).await;
            stage.until_passed(0).await;
        };
        stage.project(story).await;
        assert_eq!(stage.parked(SEATS, partition(0)).await, [(bad.clone(), 3)]);
        assert_eq!(stage.house(partition(0)).await, (1, 3));
        stage.assert_no_difference().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_can_read_the_event_takes_the_stream_up_again() {
    type Fixed = Amended<ReadsUnknown>;
    let stage = Stage::new();
    let [bad, ..] = an_unreadable_seat(&stage).await;
    stage.project(stage.until_passed(0)).await;
    playing::<Fixed, _, _, _, _, _, _>(stage.ports(), config("one"), stage.until_projected::<Fixed>()).await;
    assert_eq!(stage.seat(&bad).await, Some((4, None)));
    assert_eq!(stage.visits(&bad).await.len(), 4);
    assert_eq!(stage.house(partition(0)).await, (1, 7));
    stage.assert_right_in::<Fixed>().await;
    // And it stays so.
    stage.happen(&[(&bad, Event::reserved("bob"))]).await;
    playing::<Fixed, _, _, _, _, _, _>(stage.ports(), config("one"), stage.until_projected::<Fixed>()).await;
    stage.assert_right_in::<Fixed>().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_folded_parks_its_stream_in_one_view() {
    let stage = Stage::new();
    let (bad, good) = (seat(0, 0), seat(0, 1));
    stage.happen(&[(&bad, Event::reserved(UNFOLDABLE)), (&good, Event::reserved("bob"))]).await;
    stage.happen(&[(&bad, Event::released(UNFOLDABLE)), (&good, Event::released("bob"))]).await;
    stage.project(stage.until_passed(0)).await;
    assert_eq!(stage.parked(SEATS, partition(0)).await, [(bad.clone(), 1)]);
    for view in [VISITS, GUESTS, HOUSES] {
        assert!(stage.parked(view, partition(0)).await.is_empty(), "{view}");
    }
    assert_eq!(stage.seat(&bad).await, None);
    assert_eq!(stage.seat(&good).await, Some((2, None)));
    assert_eq!(stage.visits(&bad).await.len(), 2);
    assert_eq!(stage.house(partition(0)).await, (0, 4));
    assert_eq!(stage.assert_no_difference().await.parked.len(), 1);
    type Fixed = Amended<FoldsUnfoldable>;
    playing::<Fixed, _, _, _, _, _, _>(stage.ports(), config("one"), stage.until_projected::<Fixed>()).await;
    assert_eq!(stage.seat(&bad).await.unwrap().0, 2);
    stage.assert_right_in::<Fixed>().await;
}

/// The reason is the story for the operator.
#[tokio::test(start_paused = true)]
async fn the_reason_is_told() {
    let stage = Stage::new();
    stage.happen(&[(&seat(0, 0), Event::reserved(UNFOLDABLE))]).await;
    stage.project(stage.until_passed(0)).await;
    let progress = stage.progress(SEATS, partition(0)).await;
    assert!(progress.parked[0].reason.contains("cannot be folded"), "{:?}", progress.parked);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_events_are_nowhere_is_taken_up_when_they_appear() {
    let stage = Stage::new();
    let (bad, good) = (seat(0, 0), seat(0, 1));
    stage.happen(&[(&bad, Event::reserved("ada"))]).await;
    let missing = stage.store(&[(&bad, Event::released("ada"))]).await;
    stage.happen(&[(&good, Event::reserved("bob"))]).await;
    stage.happen(&[(&bad, Event::reserved("eve")), (&good, Event::released("bob"))]).await;
    let events = ScreenedEvents::hiding(&stage.events, &missing[0]);
    let story = async {
        stage.until_passed(0).await;
        let is_parked = async || stage.parked(SEATS, partition(0)).await == [(bad.clone(), 2)];
        stage.until("the stream is parked", is_parked).await;
        assert_eq!(stage.parked(HOUSES, partition(0)).await, [(bad.clone(), 2)]);
        assert_eq!(stage.seat(&bad).await, Some((1, Some("ada".into()))), "an event was folded over a hole");
        assert_eq!(stage.seat(&good).await, Some((2, None)));
        events.show();
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
    assert_eq!(stage.seat(&bad).await, Some((3, Some("eve".into()))));
    assert_eq!(stage.house(partition(0)).await, (1, 5));
    stage.assert_right().await;
    assert_eq!(Theatre::views().len(), 4);
}
