//! Records that another program has written to the topic.

use std::time::Duration;

use diptych_kernel::{
    Partition,
    ports::{Consumer, EventLog, LogSignal, Offset, PortResult, Remedy},
};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use uuid::Uuid;

use crate::harness;

/// Writes a record to a partition as any program may.
fn write_record(servers: &str, topic: &str, partition: i32, headers: &[(&str, Option<&[u8]>)]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let headers =
        headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: *value }));
    let record = BaseRecord::to(topic).partition(partition).key("key").payload("payload").headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(harness::WAIT_MAX).unwrap();
}

#[tokio::test]
async fn a_foreign_record_is_skipped() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let log = harness::open(&config).await;
    write_record(&servers, &config.topic, 1, &[]);
    write_record(&servers, &config.topic, 1, &[("ce_type", Some(b"com.example.Other")), ("ce_id", None)]);
    log.append(&[harness::event(1, 70)]).await.unwrap();
    write_record(&servers, &config.topic, 1, &[("name", Some(b"\xff\x00"))]);
    assert_eq!(log.ends().await.unwrap()[1].last_event, Some(harness::identity(70)));

    let mut consumer = log.join(&format!("foreign {}", Uuid::new_v4()), "ada").await.unwrap();
    let read = harness::read_until(&mut consumer, Offset(0), |read| !read.is_empty()).await;
    assert_eq!((read.len(), read[0].offset, &read[0].entry), (1, Offset(2), &harness::event(1, 70)));
}

/// Returns the next signal other than `Idle`.
async fn next(consumer: &mut impl Consumer) -> PortResult<LogSignal> {
    for _ in 0..600 {
        match consumer.poll(100, Duration::from_millis(100)).await {
            Ok(LogSignal::Idle) => {}
            other => return other,
        }
    }
    panic!("no signal came");
}

#[tokio::test]
async fn an_unreadable_record_is_reported_with_its_offset_and_not_skipped() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let log = harness::open(&config).await;
    log.append(&[harness::event(1, 70)]).await.unwrap();
    write_record(&servers, &config.topic, 1, &[("ce_position", Some(b"71")), ("ce_type", Some(b"test.v1.Happened"))]);
    log.append(&[harness::event(1, 72)]).await.unwrap();
    let mut consumer = log.join(&format!("unreadable {}", Uuid::new_v4()), "ada").await.unwrap();
    let read = harness::read_until(&mut consumer, Offset(0), |read| !read.is_empty()).await;
    assert_eq!((read.len(), &read[0].entry), (1, &harness::event(1, 70)));

    for _ in 0..2 {
        let error = next(&mut consumer).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator);
        let text = error.to_string();
        for part in ["offset 1 of partition 1", &config.topic, "no header ce_time"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        // Records behind it are not delivered; other partitions go on.
        log.append(&[harness::event(2, 73)]).await.unwrap();
        let LogSignal::Records(records) = next(&mut consumer).await.unwrap() else { panic!("a record was expected") };
        assert!(records.iter().all(|record| record.entry == harness::event(2, 73)), "{records:?}");
        consumer.seek(Partition::new(1), Offset(1)).await.unwrap();
    }
    drop(next(&mut consumer).await.unwrap_err());
    // An operator may decide to skip it.
    consumer.seek(Partition::new(1), Offset(2)).await.unwrap();
    let LogSignal::Records(records) = next(&mut consumer).await.unwrap() else { panic!("a record was expected") };
    assert_eq!(records[0].entry, harness::event(1, 72));
}

#[tokio::test]
async fn an_unreadable_event_at_the_end_is_an_error() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let log = harness::open(&config).await;
    write_record(&servers, &config.topic, 3, &[("ce_position", Some(b"-5")), ("ce_type", Some(b"test.v1.Happened"))]);
    let error = log.ends().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Operator);
    assert!(error.to_string().contains("offset 0 of partition 3"), "{error}");
}
