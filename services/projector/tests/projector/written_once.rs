//! Views whose rows are made of one event each are written without being read first.

use std::sync::Arc;

use diptych_kernel::testing::theatre::{Event, SEATS, Theatre, UNFOLDABLE, VISITS};
use diptych_projector::Ports;

use crate::{
    amended::{Amended, WritesVisitsOnce, WritesVisitsOnceUnlessUnfoldable},
    harness::{EmbeddedPorts, ProjectorHarness, config, partition, run_projector_during, seat},
    stores::GatedViews,
};

type WrittenOnce = Amended<WritesVisitsOnce>;

/// Projects everything with the counted read database.
async fn project_all<D: diptych_kernel::domain::Domain>(harness: &ProjectorHarness, views: &Arc<GatedViews>) {
    let EmbeddedPorts { events, log, progress, cache, .. } = harness.ports();
    let ports = Ports { events, log, views: Arc::clone(views), progress, cache };
    run_projector_during::<D, _, _, _, _, _, _>(ports, config("one"), harness.wait_until_projected::<D>()).await;
}

/// Publishes 20 visits of one seat, each in a command of its own.
async fn publish_visits(harness: &ProjectorHarness) {
    for _ in 0..10 {
        harness.append_and_publish(&[(&seat(0, 0), Event::reserved("ada"))]).await;
        harness.append_and_publish(&[(&seat(0, 0), Event::released("ada"))]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn new_rows_of_one_event_are_written_without_a_read() {
    let harness = ProjectorHarness::new();
    let (read_first, written_once) = (GatedViews::open(&harness.views), GatedViews::open(&harness.views));
    publish_visits(&harness).await;
    project_all::<Theatre>(&harness, &read_first).await;
    assert_eq!(read_first.keys_read_count(VISITS), 20, "one per event");
    publish_visits(&harness).await;
    project_all::<WrittenOnce>(&harness, &written_once).await;
    assert_eq!(written_once.keys_read_count(VISITS), 0);
    assert!(written_once.keys_read_count(SEATS) > 0);
    assert_eq!(harness.visits(&seat(0, 0)).await.len(), 40);
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn repeats_in_the_same_batch_and_after_a_restart_change_no_row() {
    let harness = ProjectorHarness::new();
    let views = GatedViews::open(&harness.views);
    publish_visits(&harness).await;
    let all = harness.all_events().await;
    harness.publish(&all).await;
    project_all::<WrittenOnce>(&harness, &views).await;
    harness.publish(&all).await;
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved("eve"))]).await;
    harness.publish(&all[3..]).await;
    harness.watermark(partition(0)).await;
    project_all::<WrittenOnce>(&harness, &views).await;
    assert_eq!(harness.visits(&seat(0, 0)).await.len(), 21);
    assert_eq!(views.keys_read_count(VISITS), 0);
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_and_missing_records_are_projected_without_a_read() {
    let harness = ProjectorHarness::new();
    let views = GatedViews::open(&harness.views);
    let (bad, good) = (seat(0, 0), seat(0, 1));
    harness.append_and_publish(&[(&bad, Event::reserved("ada")), (&good, Event::reserved("bob"))]).await;
    harness.append_and_publish(&[(&bad, Event::released("ada")), (&bad, Event::reserved(UNFOLDABLE))]).await;
    harness.append_and_publish(&[(&bad, Event::released(UNFOLDABLE))]).await;
    let EmbeddedPorts { events, log, progress, cache, .. } = harness.ports();
    let ports = Ports { events, log, views: Arc::clone(&views), progress, cache };
    let is_parked = async || harness.parked(VISITS, partition(0)).await == [(bad.clone(), 3)];
    let until_parked = harness.wait_until("the stream is parked", is_parked);
    run_projector_during::<Amended<WritesVisitsOnceUnlessUnfoldable>, _, _, _, _, _, _>(
        ports,
        config("one"),
        until_parked,
    )
    .await;
    // The record of this event is missing in the log.
    harness.store(&[(&bad, Event::reserved("eve"))]).await;
    harness.append_and_publish(&[(&bad, Event::released("eve"))]).await;
    project_all::<WrittenOnce>(&harness, &views).await;
    assert_eq!(harness.visits(&bad).await.len(), 6);
    assert_eq!(views.keys_read_count(VISITS), 0);
    harness.assert_views_correct_in::<WrittenOnce>().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_side_that_was_lost_is_filled_again_without_a_read() {
    let mut harness = ProjectorHarness::new();
    publish_visits(&harness).await;
    project_all::<WrittenOnce>(&harness, &GatedViews::open(&harness.views)).await;
    harness.recreate_read_side();
    harness.recreate_log();
    let views = GatedViews::open(&harness.views);
    // The write database has everything, the log only this event.
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved("eve"))]).await;
    project_all::<WrittenOnce>(&harness, &views).await;
    assert_eq!(harness.visits(&seat(0, 0)).await.len(), 21);
    assert_eq!(views.keys_read_count(VISITS), 0);
    harness.assert_views_correct().await;
}
