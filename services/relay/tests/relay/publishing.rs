//! What is stored gets onto the log.

use std::{sync::Arc, time::Duration};

use diptych_embedded::{EmbeddedEventLog, Storage};
use diptych_kernel::{Partitions, ports::LogEntry};
use diptych_relay::{RelayConfig, RelayError, run};
use diptych_runtime::{Shutdown, TokioClock};
use tokio::time::Instant;

use crate::stage::Stage;

#[tokio::test(start_paused = true)]
async fn all_events_are_published_once_and_in_order() {
    let stage = Stage::new();
    stage.store(20).await;
    stage
        .relay("one", async {
            stage.until_published().await;
            stage.store(20).await;
            stage.until_published().await;
        })
        .await;
    assert_eq!(stage.check_log().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_published_as_soon_as_it_is_stored() {
    let stage = Stage::new();
    stage
        .relay("one", async {
            stage.store(1).await;
            stage.until_published().await;
            for _ in 0..10 {
                let stored_at = Instant::now();
                stage.store(1).await;
                stage.until_published().await;
                assert!(stored_at.elapsed() <= Duration::from_millis(30), "after {:?}", stored_at.elapsed());
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_moves_the_cursor_and_gives_the_lead_back() {
    let stage = Stage::new();
    stage.store(5).await;
    stage.relay("one", stage.until_published()).await;
    let stopped_at = Instant::now();
    let cursor = stage.cursor().await;
    assert_eq!(stopped_at.elapsed(), Duration::ZERO, "nobody held the lease");
    let all = stage.all_events().await;
    assert_eq!(cursor.published_up_to, all.last().unwrap().position);
    for (number, last) in (0..).zip(&cursor.last_positions) {
        let of_partition = all.iter().rev().find(|event| event.partition.number() == number);
        assert_eq!(*last, of_partition.map(|event| event.position).unwrap_or_default());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_publication_is_not_repeated() {
    let stage = Stage::new();
    stage.store(10).await;
    // A relay has put some of it on the log, and died before it moved its cursor.
    let all = stage.all_events().await;
    let first: Vec<_> = all.iter().take(11).cloned().map(LogEntry::Event).collect();
    diptych_kernel::ports::EventLog::append(&*stage.log, &first).await.unwrap();
    stage.relay("two", stage.until_published()).await;
    assert_eq!(stage.check_log().await, 0);
}

#[tokio::test(start_paused = true)]
async fn places_with_different_partitions_are_refused() {
    let stage = Stage::new();
    let clock = Arc::new(TokioClock::starting_at(diptych_kernel::Timestamp::default()));
    let log = EmbeddedEventLog::open(&Storage::Memory, Partitions::new(5).unwrap(), clock).unwrap();
    let ended = run(Arc::clone(&stage.events), Arc::new(log), RelayConfig::new("one"), Shutdown::new()).await;
    assert!(matches!(ended, Err(RelayError::PartitionsDiffer { .. })), "{ended:?}");
}
