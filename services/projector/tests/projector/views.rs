//! Every event is in every view exactly once.

use std::sync::Arc;

use diptych_kernel::{
    domain::Domain,
    ports::{CacheRead, EventLog, ViewCache},
    testing::theatre::{Event, HOUSES, SEATS, Theatre, house_key},
};
use diptych_projector::{ProjectorError, run};
use diptych_relay::RelayConfig;
use diptych_runtime::Shutdown;
use tokio::sync::watch;

use crate::{
    harness::{ProjectorHarness, config, partition, partitions, run_projector_during, seat},
    workload::TheatreWorkload,
};

#[tokio::test(start_paused = true)]
async fn every_view_contains_all_events() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(1, 0));
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.append_and_publish(&[(&b, Event::reserved("bob"))]).await;
    harness
        .append_and_publish(&[
            (&a, Event::released("ada")),
            (&b, Event::released("bob")),
            (&a, Event::swapped("bob")),
            (&b, Event::swapped("ada")),
        ])
        .await;
    harness.project_all().await;
    assert_eq!(harness.seat(&a).await, Some((3, Some("bob".into()))));
    assert_eq!(harness.seat(&b).await, Some((3, Some("ada".into()))));
    assert_eq!(harness.visits(&a).await.iter().map(|version| version.number()).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(harness.seats_of("ada").await, [b.as_str()]);
    assert_eq!(harness.seats_of("bob").await, [a.as_str()]);
    assert_eq!(harness.house(partition(0)).await, (1, 3));
    assert_eq!(harness.house(partition(1)).await, (1, 3));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_can_be_created_again() {
    let harness = ProjectorHarness::new();
    let a = seat(0, 0);
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.project_all().await;
    assert_eq!(harness.seats_of("ada").await, [a.as_str()]);
    harness.append_and_publish(&[(&a, Event::released("ada"))]).await;
    harness.project_all().await;
    assert!(harness.seats_of("ada").await.is_empty());
    assert_eq!(harness.seat(&a).await, Some((2, None)));
    assert_eq!(harness.house(partition(0)).await, (0, 2));
    harness.assert_views_correct().await;
    harness.append_and_publish(&[(&a, Event::reserved("ada"))]).await;
    harness.project_all().await;
    assert_eq!(harness.seats_of("ada").await, [a.as_str()]);
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn repeated_records_change_nothing() {
    let harness = ProjectorHarness::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    let mut all = harness.append_and_publish(&[(&a, Event::reserved("ada")), (&b, Event::reserved("bob"))]).await;
    all.extend(harness.append_and_publish(&[(&a, Event::released("ada"))]).await);
    harness.publish(&all).await;
    harness.publish(&all[1..]).await;
    harness.project_all().await;
    harness.assert_views_correct().await;
    // In another batch, and before a new event.
    harness.publish(&all).await;
    harness.append_and_publish(&[(&a, Event::reserved("eve"))]).await;
    harness.publish(&all).await;
    harness.watermark(partition(0)).await;
    harness.project_all().await;
    assert_eq!(harness.house(partition(0)).await, (2, 4));
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn another_group_reads_the_whole_log_again() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(1);
    for _ in 0..40 {
        let events = workload.next();
        harness.append_and_publish(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
    }
    harness.project_all().await;
    let mut others = config("one");
    others.group = "others".into();
    others.batch_records_max = 3;
    let reads_all = async {
        harness
            .append_and_publish(&[(&seat(0, 100), Event::reserved("ada")), (&seat(1, 100), Event::reserved("ada"))])
            .await;
        harness.append_and_publish(&[(&seat(2, 100), Event::reserved("ada"))]).await;
        harness.wait_until_projected::<Theatre>().await;
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), others, reads_all).await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn a_watermark_advances_the_progress_of_an_idle_partition() {
    let harness = ProjectorHarness::new();
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    let (busy, idle) = (partition(0), partition(1));
    let marks = [harness.watermark(busy).await, harness.watermark(idle).await];
    let is_there = async || {
        let progress = [harness.progress(SEATS, busy).await, harness.progress(HOUSES, idle).await];
        progress.iter().zip(&marks).all(|(progress, mark)| progress.position == mark.position)
    };
    harness.project(harness.wait_until("the watermarks are applied", is_there)).await;
    assert_eq!(harness.progress(HOUSES, idle).await.as_of, marks[1].as_of);
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn rows_need_not_fit_into_memory() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(2);
    let mut small = config("one");
    (small.hot_rows_max, small.batch_records_max) = (0, 4);
    let scenario = async {
        for _ in 0..60 {
            let events = workload.next();
            harness
                .append_and_publish(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>())
                .await;
        }
        harness.wait_until_projected::<Theatre>().await;
    };
    run_projector_during::<Theatre, _, _, _, _, _, _>(harness.ports(), small, scenario).await;
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn the_cache_contains_the_written_rows() {
    let harness = ProjectorHarness::new();
    let stored = harness.append_and_publish(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    harness.project_all().await;
    let read = harness.cache.read(HOUSES, &[house_key(partition(0))]).await.unwrap().remove(0);
    let CacheRead::Hit(row) = read else { panic!("{read:?}") };
    assert_eq!((row.position, row.current_up_to), (stored[0].position, stored[0].position));
    assert_eq!(row.body, harness.row(HOUSES, &house_key(partition(0))).await.unwrap().body);
}

#[tokio::test(start_paused = true)]
async fn the_relay_and_the_projector_bring_all_events_into_the_views() {
    let harness = ProjectorHarness::new();
    let mut workload = TheatreWorkload::new(3);
    let (store, log) = (Arc::clone(&harness.events), Arc::clone(&harness.log));
    let scenario = async {
        for _ in 0..60 {
            let events = workload.next();
            harness.store(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
        }
        harness.wait_until_projected::<Theatre>().await;
        // Once everything is idle, watermarks advance every partition to the end.
        let end = harness.all_events().await.last().unwrap().position;
        let is_there = async || {
            let mut at_end = true;
            for number in partitions().iter() {
                at_end &= harness.progress(SEATS, number).await.position >= end;
            }
            at_end
        };
        harness.wait_until("every partition has reached the end", is_there).await;
    };
    tokio::select! {
        biased;
        () = harness.project(scenario) => {}
        ended = diptych_relay::run(store, log, RelayConfig::new("relay"), Shutdown::new()) => panic!("{ended:?}"),
    }
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_projector_and_commits_stored_work() {
    let harness = ProjectorHarness::new();
    harness.append_and_publish(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    let shutdown = Shutdown::new();
    let stop = async {
        harness.wait_until_projected::<Theatre>().await;
        shutdown.begin();
    };
    let projector =
        run::<Theatre, _, _, _, _, _>(harness.ports(), config("one"), watch::Sender::default(), shutdown.clone());
    let (ended, ()) = tokio::join!(projector, stop);
    ended.unwrap();
    let assigned = crate::group::assignments(&harness, "spectator").await;
    let of_partition = assigned.iter().find(|assignment| assignment.partition == partition(0)).unwrap();
    assert_eq!(of_partition.committed, harness.log.ends().await.unwrap()[0].next_offset);
    harness.assert_views_correct().await;
}

#[tokio::test(start_paused = true)]
async fn stores_with_different_partition_counts_are_refused() {
    let harness = ProjectorHarness::new();
    let clock = Arc::new(diptych_runtime::TokioClock::starting_at(harness.now()));
    let other = diptych_kernel::Partitions::new(5).unwrap();
    let log = diptych_embedded::EmbeddedEventLog::open(&diptych_embedded::Storage::Memory, other, clock).unwrap();
    let ports = diptych_projector::Ports { log: Arc::new(log), ..harness.ports() };
    let ended = run::<Theatre, _, _, _, _, _>(ports, config("one"), watch::Sender::default(), Shutdown::new()).await;
    assert!(matches!(ended, Err(ProjectorError::PartitionsDiffer { .. })), "{ended:?}");
    assert_eq!(Theatre::views().len(), 4);
}
