//! What happened is in every view, once.

use std::sync::Arc;

use diptych_kernel::{
    domain::Domain,
    ports::{CacheRead, EventLog, ViewCache},
    testing::theatre::{Event, HOUSES, SEATS, Theatre, house_key},
};
use diptych_projector::{ProjectorError, run};
use diptych_relay::RelayConfig;
use diptych_runtime::Shutdown;

use crate::{
    stage::{Stage, config, partition, partitions, playing, seat},
    workload::Evening,
};

#[tokio::test(start_paused = true)]
async fn every_view_shows_what_happened() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(1, 0));
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.happen(&[(&b, Event::reserved("bob"))]).await;
    stage
        .happen(&[
            (&a, Event::released("ada")),
            (&b, Event::released("bob")),
            (&a, Event::swapped("bob")),
            (&b, Event::swapped("ada")),
        ])
        .await;
    stage.project_all().await;
    assert_eq!(stage.seat(&a).await, Some((3, Some("bob".into()))));
    assert_eq!(stage.seat(&b).await, Some((3, Some("ada".into()))));
    assert_eq!(stage.visits(&a).await.iter().map(|version| version.number()).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(stage.seats_of("ada").await, [b.as_str()]);
    assert_eq!(stage.seats_of("bob").await, [a.as_str()]);
    assert_eq!(stage.house(partition(0)).await, (1, 3));
    assert_eq!(stage.house(partition(1)).await, (1, 3));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_can_come_again() {
    let stage = Stage::new();
    let a = seat(0, 0);
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.project_all().await;
    assert_eq!(stage.seats_of("ada").await, [a.as_str()]);
    stage.happen(&[(&a, Event::released("ada"))]).await;
    stage.project_all().await;
    assert!(stage.seats_of("ada").await.is_empty());
    assert_eq!(stage.seat(&a).await, Some((2, None)));
    assert_eq!(stage.house(partition(0)).await, (0, 2));
    stage.assert_right().await;
    stage.happen(&[(&a, Event::reserved("ada"))]).await;
    stage.project_all().await;
    assert_eq!(stage.seats_of("ada").await, [a.as_str()]);
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn records_that_come_again_change_nothing() {
    let stage = Stage::new();
    let (a, b) = (seat(0, 0), seat(0, 1));
    let mut all = stage.happen(&[(&a, Event::reserved("ada")), (&b, Event::reserved("bob"))]).await;
    all.extend(stage.happen(&[(&a, Event::released("ada"))]).await);
    stage.publish(&all).await;
    stage.publish(&all[1..]).await;
    stage.project_all().await;
    stage.assert_right().await;
    // In another batch, and before something new.
    stage.publish(&all).await;
    stage.happen(&[(&a, Event::reserved("eve"))]).await;
    stage.publish(&all).await;
    stage.watermark(partition(0)).await;
    stage.project_all().await;
    assert_eq!(stage.house(partition(0)).await, (2, 4));
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn all_of_the_log_is_read_again_by_another_group() {
    let stage = Stage::new();
    let mut evening = Evening::new(1);
    for _ in 0..40 {
        let events = evening.next();
        stage.happen(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
    }
    stage.project_all().await;
    let mut others = config("one");
    others.group = "others".into();
    others.batch_records_max = 3;
    let reads_all = async {
        stage.happen(&[(&seat(0, 100), Event::reserved("ada")), (&seat(1, 100), Event::reserved("ada"))]).await;
        stage.happen(&[(&seat(2, 100), Event::reserved("ada"))]).await;
        stage.until_projected::<Theatre>().await;
    };
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), others, reads_all).await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn a_watermark_moves_the_progress_of_a_quiet_partition() {
    let stage = Stage::new();
    stage.happen(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    let (loud, quiet) = (partition(0), partition(1));
    let marks = [stage.watermark(loud).await, stage.watermark(quiet).await];
    let is_there = async || {
        let progress = [stage.progress(SEATS, loud).await, stage.progress(HOUSES, quiet).await];
        progress.iter().zip(&marks).all(|(progress, mark)| progress.position == mark.position)
    };
    stage.project(stage.until("the watermarks are heard", is_there)).await;
    assert_eq!(stage.progress(HOUSES, quiet).await.as_of, marks[1].as_of);
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn rows_need_not_fit_into_memory() {
    let stage = Stage::new();
    let mut evening = Evening::new(2);
    let mut small = config("one");
    (small.hot_rows_max, small.batch_records_max) = (0, 4);
    let story = async {
        for _ in 0..60 {
            let events = evening.next();
            stage.happen(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
        }
        stage.until_projected::<Theatre>().await;
    };
    playing::<Theatre, _, _, _, _, _, _>(stage.ports(), small, story).await;
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn the_cache_has_what_was_written() {
    let stage = Stage::new();
    let stored = stage.happen(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    stage.project_all().await;
    let read = stage.cache.read(HOUSES, &[house_key(partition(0))]).await.unwrap().remove(0);
    let CacheRead::Hit(row) = read else { panic!("{read:?}") };
    assert_eq!((row.position, row.as_of), (stored[0].position, stored[0].position));
    assert_eq!(row.body, stage.row(HOUSES, &house_key(partition(0))).await.unwrap().body);
}

#[tokio::test(start_paused = true)]
async fn the_relay_and_the_projector_bring_everything_into_the_views() {
    let stage = Stage::new();
    let mut evening = Evening::new(3);
    let (store, log) = (Arc::clone(&stage.events), Arc::clone(&stage.log));
    let story = async {
        for _ in 0..60 {
            let events = evening.next();
            stage.store(&events.iter().map(|(seat, event)| (seat, event.clone())).collect::<Vec<_>>()).await;
        }
        stage.until_projected::<Theatre>().await;
        // When all is idle, watermarks bring every partition to the end.
        let end = stage.all_events().await.last().unwrap().position;
        let is_there = async || {
            let mut at_end = true;
            for number in partitions().iter() {
                at_end &= stage.progress(SEATS, number).await.position >= end;
            }
            at_end
        };
        stage.until("every partition has come to the end", is_there).await;
    };
    tokio::select! {
        biased;
        () = stage.project(story) => {}
        ended = diptych_relay::run(store, log, RelayConfig::new("relay"), Shutdown::new()) => panic!("{ended:?}"),
    }
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_it_and_what_was_done_is_committed() {
    let stage = Stage::new();
    stage.happen(&[(&seat(0, 0), Event::reserved("ada"))]).await;
    let shutdown = Shutdown::new();
    let stop = async {
        stage.until_projected::<Theatre>().await;
        shutdown.begin();
    };
    let projector = run::<Theatre, _, _, _, _, _>(stage.ports(), config("one"), shutdown.clone());
    let (ended, ()) = tokio::join!(projector, stop);
    ended.unwrap();
    let assigned = crate::group::assignments(&stage, "spectator").await;
    let of_partition = assigned.iter().find(|given| given.partition == partition(0)).unwrap();
    assert_eq!(of_partition.committed, stage.log.ends().await.unwrap()[0].next_offset);
    stage.assert_right().await;
}

#[tokio::test(start_paused = true)]
async fn stores_of_different_places_are_refused() {
    let stage = Stage::new();
    let clock = Arc::new(diptych_runtime::TokioClock::starting_at(stage.now()));
    let other = diptych_kernel::Partitions::new(5).unwrap();
    let log = diptych_embedded::EmbeddedEventLog::open(&diptych_embedded::Storage::Memory, other, clock).unwrap();
    let ports = diptych_projector::Ports { log: Arc::new(log), ..stage.ports() };
    let ended = run::<Theatre, _, _, _, _, _>(ports, config("one"), Shutdown::new()).await;
    assert!(matches!(ended, Err(ProjectorError::PartitionsDiffer { .. })), "{ended:?}");
    assert_eq!(Theatre::views().len(), 4);
}
