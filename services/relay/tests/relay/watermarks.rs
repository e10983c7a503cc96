//! Watermarks of idle partitions.

use std::{collections::BTreeSet, time::Duration};

use diptych_kernel::{
    Position,
    ports::{LogEntry, Watermark},
    testing::theatre::seat,
};
use diptych_runtime::pause;

use crate::harness::{RelayHarness, partitions};

async fn watermarks(harness: &RelayHarness) -> Vec<(u16, Watermark)> {
    let records = harness.records().await.into_iter();
    let watermarks = records.filter_map(|entry| match entry {
        LogEntry::Watermark(partition, watermark) => Some((partition.number(), watermark)),
        LogEntry::Event(_) => None,
    });
    watermarks.collect()
}

#[tokio::test(start_paused = true)]
async fn an_idle_partition_gets_watermarks_at_intervals_that_double_up_to_a_maximum() {
    let harness = RelayHarness::new();
    harness.store_commands(5).await;
    harness
        .run_relay("one", async {
            harness.until_published().await;
            pause(Duration::from_millis(800)).await;
            assert_eq!(watermarks(&harness).await, vec![], "no partition is idle for a second yet");
            pause(Duration::from_secs(45)).await;
        })
        .await;
    let watermarks = watermarks(&harness).await;
    let all = harness.all_events().await;
    for partition in partitions().iter() {
        let own: Vec<_> = watermarks.iter().filter(|(number, _)| *number == partition.number()).collect();
        let last = all.iter().rev().find(|event| event.partition == partition).map(|event| event.position);
        for (_, watermark) in &own {
            assert_eq!(watermark.last_event, last.unwrap_or_default());
            assert_eq!(watermark.position, all.last().unwrap().position);
        }
        let intervals: Vec<f64> = own.windows(2).map(|pair| pair[1].1.as_of.seconds_since(pair[0].1.as_of)).collect();
        let expected = [2.0, 4.0, 4.0, 4.0, 4.0];
        assert!(intervals.len() >= expected.len(), "{intervals:?}");
        for (interval, expected) in intervals.iter().zip(expected) {
            assert!((0.85 * expected..=1.15 * expected).contains(interval), "{intervals:?}");
        }
    }
    harness.check_log().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_hour_adds_few_records_to_each_partition() {
    let harness = RelayHarness::new();
    harness.run_relay("one", pause(Duration::from_secs(3_600))).await;
    let records = harness.records().await.len();
    let per_partition = records / usize::from(partitions().count());
    // 3,600 seconds by the longest interval of 4 seconds, and a few shorter ones at first.
    assert!((800..=1_020).contains(&per_partition), "{per_partition} records per partition");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_busy_gets_its_next_watermark_after_a_second() {
    let harness = RelayHarness::new();
    harness
        .run_relay("one", async {
            pause(Duration::from_secs(60)).await;
            let before = harness.records().await.len();
            harness.store_command(&[0]).await;
            harness.until_published().await;
            let marked = async || harness.records().await.len() > before + 1;
            pause(Duration::from_millis(1_200)).await;
            assert!(marked().await, "no watermark a second after the event");
        })
        .await;
    let last = watermarks(&harness)
        .await
        .into_iter()
        .rev()
        .find(|(number, _)| *number == partitions().of(&seat("0")).number());
    assert_eq!(last.unwrap().1.last_event, harness.all_events().await[0].position);
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_events_gets_watermarks() {
    let harness = RelayHarness::new();
    harness.run_relay("one", pause(Duration::from_secs(4))).await;
    let watermarks = watermarks(&harness).await;
    assert!(watermarks.len() >= 6, "{watermarks:?}");
    assert!(watermarks.iter().all(|(_, watermark)| watermark.last_event == Position::START));
}

#[tokio::test(start_paused = true)]
async fn an_idle_partition_gets_watermarks_while_another_is_busy() {
    let harness = RelayHarness::new();
    harness
        .run_relay("one", async {
            // One seat: the other partitions are idle.
            for _ in 0..40 {
                harness.store_command(&[0]).await;
                pause(Duration::from_millis(100)).await;
            }
        })
        .await;
    let busy = partitions().of(&seat("0")).number();
    let marked: BTreeSet<u16> = watermarks(&harness).await.into_iter().map(|(partition, _)| partition).collect();
    assert_eq!(marked.len(), usize::from(partitions().count()) - 1);
    assert!(!marked.contains(&busy));
    harness.check_log().await;
}
