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
async fn an_idle_partition_gets_a_watermark_every_second() {
    let harness = RelayHarness::new();
    harness.store_commands(5).await;
    harness
        .run_relay("one", async {
            harness.until_published().await;
            pause(Duration::from_millis(800)).await;
            assert_eq!(watermarks(&harness).await, vec![], "no partition is idle for a second yet");
            pause(Duration::from_millis(9_400)).await;
        })
        .await;
    let watermarks = watermarks(&harness).await;
    let all = harness.all_events().await;
    for partition in partitions().iter() {
        let own: Vec<_> = watermarks.iter().filter(|(number, _)| *number == partition.number()).collect();
        assert!((9..=11).contains(&own.len()), "{} watermarks in ten seconds", own.len());
        let last = all.iter().rev().find(|event| event.partition == partition).map(|event| event.position);
        for (_, watermark) in &own {
            assert_eq!(watermark.last_event, last.unwrap_or_default());
            assert_eq!(watermark.position, all.last().unwrap().position);
        }
        let intervals = own.windows(2).map(|pair| pair[1].1.as_of.seconds_since(pair[0].1.as_of));
        assert!(
            intervals.clone().all(|interval| (0.8..=1.2).contains(&interval)),
            "{:?}",
            intervals.collect::<Vec<_>>()
        );
    }
    harness.check_log().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_events_gets_watermarks() {
    let harness = RelayHarness::new();
    harness.run_relay("one", pause(Duration::from_secs(3))).await;
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
