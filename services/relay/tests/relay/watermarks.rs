//! Idle partitions say so.

use std::{collections::BTreeSet, time::Duration};

use diptych_kernel::{
    Position,
    ports::{LogEntry, Watermark},
    testing::theatre::seat,
};
use diptych_runtime::pause;

use crate::stage::{Stage, partitions};

async fn watermarks(stage: &Stage) -> Vec<(u16, Watermark)> {
    let records = stage.records().await.into_iter();
    let watermarks = records.filter_map(|entry| match entry {
        LogEntry::Watermark(partition, watermark) => Some((partition.number(), watermark)),
        LogEntry::Event(_) => None,
    });
    watermarks.collect()
}

#[tokio::test(start_paused = true)]
async fn an_idle_partition_gets_a_watermark_every_second() {
    let stage = Stage::new();
    stage.store(5).await;
    stage
        .relay("one", async {
            stage.until_published().await;
            pause(Duration::from_millis(800)).await;
            assert_eq!(watermarks(&stage).await, vec![], "no partition is idle for a second yet");
            pause(Duration::from_millis(9_400)).await;
        })
        .await;
    let watermarks = watermarks(&stage).await;
    let all = stage.all_events().await;
    for partition in partitions().iter() {
        let own: Vec<_> = watermarks.iter().filter(|(number, _)| *number == partition.number()).collect();
        assert!((9..=11).contains(&own.len()), "{} watermarks in ten seconds", own.len());
        let last = all.iter().rev().find(|event| event.partition == partition).map(|event| event.position);
        for (_, watermark) in &own {
            assert_eq!(watermark.last_event, last.unwrap_or_default());
            assert_eq!(watermark.position, all.last().unwrap().position);
        }
        let gaps = own.windows(2).map(|pair| pair[1].1.as_of.seconds_since(pair[0].1.as_of));
        assert!(gaps.clone().all(|gap| (0.8..=1.2).contains(&gap)), "{:?}", gaps.collect::<Vec<_>>());
    }
    stage.check_log().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_events_says_so() {
    let stage = Stage::new();
    stage.relay("one", pause(Duration::from_secs(3))).await;
    let watermarks = watermarks(&stage).await;
    assert!(watermarks.len() >= 6, "{watermarks:?}");
    assert!(watermarks.iter().all(|(_, watermark)| watermark.last_event == Position::START));
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_marked_while_others_are_busy() {
    let stage = Stage::new();
    stage
        .relay("one", async {
            // One seat: the other partitions are idle.
            for _ in 0..40 {
                stage.store_for(&[0]).await;
                pause(Duration::from_millis(100)).await;
            }
        })
        .await;
    let busy = partitions().of(&seat("0")).number();
    let marked: BTreeSet<u16> = watermarks(&stage).await.into_iter().map(|(partition, _)| partition).collect();
    assert_eq!(marked.len(), usize::from(partitions().count()) - 1);
    assert!(!marked.contains(&busy));
    stage.check_log().await;
}
