//! End offset and last event of partitions.

use diptych_kernel::{
    Partition,
    ports::{EventLog, Offset, PartitionEnd},
};
use rdkafka::{
    ClientConfig, Offset as KafkaOffset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use uuid::Uuid;

use crate::harness;

fn end(next_offset: u64, last_event: Option<i64>) -> PartitionEnd {
    PartitionEnd { next_offset: Offset(next_offset), last_event: last_event.map(harness::identity) }
}

#[tokio::test]
async fn the_last_event_is_found_behind_many_watermarks() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let log = harness::open(&config).await;
    // In one append, so that no watermark carries a summary: the search has to read them all.
    let mut entries = vec![harness::event(0, 5), harness::event(3, 6)];
    entries.extend((0..3_000).map(|number| harness::watermark(3, 100 + number, 6)));
    log.append(&entries).await.unwrap();
    let expected = [end(1, Some(5)), end(0, None), end(0, None), end(3_001, Some(6))];
    assert_eq!(log.ends().await.unwrap(), expected);
    // A new handle, which knows nothing yet, finds the same by the summaries of the first handle's watermarks.
    for number in 0..10 {
        log.append(&[harness::watermark(3, 5_000 + number, 6), harness::watermark(1, 5_000 + number, 0)])
            .await
            .unwrap();
    }
    let other = harness::open(&config).await;
    let expected = [end(1, Some(5)), end(10, None), end(0, None), end(3_011, Some(6))];
    assert_eq!(other.ends().await.unwrap(), expected);
}

#[tokio::test]
async fn an_event_of_another_writer_is_not_overlooked() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let (one, other) = (harness::open(&config).await, harness::open(&config).await);
    one.append(&[harness::event(2, 5)]).await.unwrap();
    one.append(&[harness::watermark(2, 6, 5)]).await.unwrap();
    other.append(&[harness::event(2, 7)]).await.unwrap();
    // The first writer does not know position 7, and its watermark says so.
    one.append(&[harness::watermark(2, 8, 5)]).await.unwrap();
    for log in [&one, &other, &harness::open(&config).await] {
        assert_eq!(log.ends().await.unwrap()[2], end(4, Some(7)));
    }
}

/// Deletes the records of a partition below an offset, as retention does.
async fn delete_below(servers: &str, topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, KafkaOffset::Offset(offset)).unwrap();
    let deleted = admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
}

#[tokio::test]
async fn records_that_retention_deleted_are_neither_found_nor_read() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let log = harness::open(&config).await;
    log.append(&[harness::event(0, 5), harness::event(0, 6), harness::event(0, 7)]).await.unwrap();
    log.append(&[harness::event(1, 8)]).await.unwrap();
    log.append(&[harness::watermark(1, 9, 8)]).await.unwrap();
    delete_below(&servers, &config.topic, 0, 2).await;
    delete_below(&servers, &config.topic, 1, 1).await;
    let ends = log.ends().await.unwrap();
    assert_eq!(ends[..2], [end(3, Some(7)), end(2, None)]);

    // Reading starts at the first remaining record.
    let mut consumer = log.join(&format!("retention {}", Uuid::new_v4()), "ada").await.unwrap();
    let read = harness::read_until(&mut consumer, Offset(0), |read| read.len() >= 2).await;
    let mut read: Vec<_> = read.iter().map(|record| (record.entry.partition(), record.offset)).collect();
    read.sort();
    assert_eq!(read, [(Partition::new(0), Offset(2)), (Partition::new(1), Offset(1))]);
}
