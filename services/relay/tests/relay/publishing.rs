//! Stored events are published to the log.

use std::{sync::Arc, time::Duration};

use diptych_embedded::{EmbeddedEventLog, Storage};
use diptych_kernel::{Partitions, ports::LogEntry};
use diptych_relay::{RelayConfig, RelayError, run};
use diptych_runtime::{Shutdown, TokioClock};
use tokio::time::Instant;

use crate::harness::RelayHarness;

#[tokio::test(start_paused = true)]
async fn all_events_are_published_once_and_in_order() {
    let harness = RelayHarness::new();
    harness.store_commands(20).await;
    harness
        .run_relay("one", async {
            harness.until_published().await;
            harness.store_commands(20).await;
            harness.until_published().await;
        })
        .await;
    assert_eq!(harness.check_log().await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_published_as_soon_as_it_is_stored() {
    let harness = RelayHarness::new();
    harness
        .run_relay("one", async {
            harness.store_commands(1).await;
            harness.until_published().await;
            for _ in 0..10 {
                let stored_at = Instant::now();
                harness.store_commands(1).await;
                harness.until_published().await;
                assert!(stored_at.elapsed() <= Duration::from_millis(30), "after {:?}", stored_at.elapsed());
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_moves_the_cursor_and_releases_the_lease() {
    let harness = RelayHarness::new();
    harness.store_commands(5).await;
    harness.run_relay("one", harness.until_published()).await;
    let stopped_at = Instant::now();
    let cursor = harness.cursor().await;
    assert_eq!(stopped_at.elapsed(), Duration::ZERO, "the lease was still held");
    let all = harness.all_events().await;
    assert_eq!(cursor.published_up_to, all.last().unwrap().position);
    for (number, last) in (0..).zip(&cursor.last_positions) {
        let of_partition = all.iter().rev().find(|event| event.partition.number() == number);
        assert_eq!(*last, of_partition.map(|event| event.position).unwrap_or_default());
    }
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_publication_is_not_repeated() {
    let harness = RelayHarness::new();
    harness.store_commands(10).await;
    // A relay has published some events, and crashed before it moved its cursor.
    let all = harness.all_events().await;
    let first: Vec<_> = all.iter().take(11).cloned().map(LogEntry::Event).collect();
    diptych_kernel::ports::EventLog::append(&*harness.log, &first).await.unwrap();
    harness.run_relay("two", harness.until_published()).await;
    assert_eq!(harness.check_log().await, 0);
}

#[tokio::test(start_paused = true)]
async fn stores_with_different_partition_counts_are_refused() {
    let harness = RelayHarness::new();
    let clock = Arc::new(TokioClock::starting_at(diptych_kernel::Timestamp::default()));
    let log = EmbeddedEventLog::open(&Storage::Memory, Partitions::new(5).unwrap(), clock).unwrap();
    let ended = run(Arc::clone(&harness.events), Arc::new(log), RelayConfig::new("one"), Shutdown::new()).await;
    assert!(matches!(ended, Err(RelayError::PartitionsDiffer { .. })), "{ended:?}");
}
