//! New generations of views, and a log or read database that was recreated.

use diptych_kernel::{
    domain::RowKey,
    ports::ViewStore,
    testing::theatre::{Event, HOUSES, SEATS, Theatre, VISITS},
};

use crate::{
    amended::{Amended, NextGeneration, SEATS_NEXT},
    harness::{ProjectorHarness, config, partition, partitions, run_projector_during, seat},
    workload::TheatreWorkload,
};

type Next = Amended<NextGeneration>;

async fn run_workload(harness: &ProjectorHarness, workload: &mut TheatreWorkload, commands: usize) {
    for _ in 0..commands {
        let events = workload.next();
        harness.append_and_publish(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_is_filled_from_the_write_database() {
    let mut harness = ProjectorHarness::new();
    run_workload(&harness, &mut TheatreWorkload::new(4), 50).await;
    harness.project_all().await;
    let before = (
        harness.views.scan_all(SEATS, None, 1_000).await.unwrap(),
        harness.views.scan_all(HOUSES, None, 1_000).await.unwrap(),
        harness.progress(VISITS, partition(0)).await,
    );
    // The log has none of the events any more.
    harness.recreate_log();
    run_projector_during::<Next, _, _, _, _, _, _>(
        harness.ports(),
        config("one"),
        harness.wait_until_projected::<Next>(),
    )
    .await;
    harness.assert_views_correct_in::<Next>().await;
    assert_eq!(harness.views.scan_all(SEATS_NEXT, None, 1_000).await.unwrap(), before.0);
    assert_eq!(harness.views.scan_all(SEATS, None, 1_000).await.unwrap(), before.0);
    assert_eq!(harness.views.scan_all(HOUSES, None, 1_000).await.unwrap(), before.1);
    assert_eq!(harness.progress(VISITS, partition(0)).await.position, before.2.position);
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_becomes_live_with_the_other_views() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(5);
    run_workload(&harness, &mut workload, 30).await;
    harness.project_all().await;
    let old = harness.progress(SEATS, partition(0)).await;
    let mut small = config("one");
    small.catch_up_events_max = 3;
    let scenario = async {
        run_workload(&harness, &mut workload, 30).await;
        harness.wait_until_projected::<Next>().await;
    };
    run_projector_during::<Next, _, _, _, _, _, _>(harness.ports(), small, scenario).await;
    harness.assert_views_correct_in::<Next>().await;
    assert_eq!(harness.progress(SEATS, partition(0)).await, old, "the old generation must not change");
}

/// An older release runs again beside the tables of a newer one.
#[tokio::test(start_paused = true)]
async fn an_old_generation_can_be_used_again() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(6);
    run_workload(&harness, &mut workload, 20).await;
    harness.project_all().await;
    run_workload(&harness, &mut workload, 20).await;
    run_projector_during::<Next, _, _, _, _, _, _>(
        harness.ports(),
        config("one"),
        harness.wait_until_projected::<Next>(),
    )
    .await;
    run_workload(&harness, &mut workload, 20).await;
    harness.project_all().await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_was_recreated() {
    let mut harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(7);
    run_workload(&harness, &mut workload, 40).await;
    harness.project_all().await;
    harness.recreate_log();
    let guests: Vec<_> = partitions().iter().map(|partition| seat(partition.number(), 200)).collect();
    for seat in &guests {
        harness.append_and_publish(&[(seat, Event::reserved("ada"))]).await;
    }
    harness.project_all().await;
    harness.assert_views_correct().await;
    run_workload(&harness, &mut workload, 40).await;
    harness.project_all().await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_was_recreated_and_filled_from_the_first_event() {
    let mut harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(8);
    run_workload(&harness, &mut workload, 40).await;
    harness.project_all().await;
    harness.recreate_log();
    let all = harness.all_events().await;
    harness.publish(&all).await;
    run_workload(&harness, &mut workload, 10).await;
    harness.project_all().await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn the_read_database_was_recreated() {
    let mut harness = ProjectorHarness::new();
    run_workload(&harness, &mut TheatreWorkload::new(9), 40).await;
    harness.project_all().await;
    harness.recreate_read_side();
    // The group has committed the end of the log, but the views' progress decides.
    harness.project_all().await;
    harness.assert_views_correct().await;
    let key = RowKey::single("seat-none");
    assert_eq!(harness.row(SEATS, &key).await, None);
    assert!(harness.audit::<Theatre>().await.events > 40);
}
