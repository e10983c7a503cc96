//! Records that another program has put on the topic.

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

use crate::site;

/// Puts a record on a partition as any program may.
fn put(servers: &str, topic: &str, partition: i32, headers: &[(&str, Option<&[u8]>)]) {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let headers =
        headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: *value }));
    let record = BaseRecord::to(topic).partition(partition).key("key").payload("payload").headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(site::BOUND).unwrap();
}

#[tokio::test]
async fn a_strangers_record_is_skipped() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let log = site::open(&config).await;
    put(&servers, &config.topic, 1, &[]);
    put(&servers, &config.topic, 1, &[("ce_type", Some(b"com.example.Other")), ("ce_id", None)]);
    log.append(&[site::event(1, 70)]).await.unwrap();
    put(&servers, &config.topic, 1, &[("name", Some(b"\xff\x00"))]);
    assert_eq!(log.ends().await.unwrap()[1].last_event, Some(site::at(70)));

    let mut consumer = log.join(&format!("foreign {}", Uuid::new_v4()), "ada").await.unwrap();
    let read = site::read_until(&mut consumer, Offset(0), |read| !read.is_empty()).await;
    assert_eq!((read.len(), read[0].offset, &read[0].entry), (1, Offset(2), &site::event(1, 70)));
}

/// The next signal that is not idleness.
async fn next(consumer: &mut impl Consumer) -> PortResult<LogSignal> {
    for _ in 0..600 {
        match consumer.poll(100, Duration::from_millis(100)).await {
            Ok(LogSignal::Idle) => {}
            other => return other,
        }
    }
    panic!("nothing comes");
}

#[tokio::test]
async fn a_garbled_record_is_told_with_its_place_and_not_passed_over() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let log = site::open(&config).await;
    log.append(&[site::event(1, 70)]).await.unwrap();
    put(&servers, &config.topic, 1, &[("ce_position", Some(b"71")), ("ce_type", Some(b"test.v1.Happened"))]);
    log.append(&[site::event(1, 72)]).await.unwrap();
    let mut consumer = log.join(&format!("garbled {}", Uuid::new_v4()), "ada").await.unwrap();
    let read = site::read_until(&mut consumer, Offset(0), |read| !read.is_empty()).await;
    assert_eq!((read.len(), &read[0].entry), (1, &site::event(1, 70)));

    for _ in 0..2 {
        let error = next(&mut consumer).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator);
        let text = error.to_string();
        for part in ["offset 1 of partition 1", &config.topic, "no header ce_time"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        // What stands behind it does not come; other partitions go on.
        log.append(&[site::event(2, 73)]).await.unwrap();
        let LogSignal::Records(records) = next(&mut consumer).await.unwrap() else { panic!("a record was expected") };
        assert!(records.iter().all(|record| record.entry == site::event(2, 73)), "{records:?}");
        consumer.seek(Partition::new(1), Offset(1)).await.unwrap();
    }
    drop(next(&mut consumer).await.unwrap_err());
    // A person may decide to pass it over.
    consumer.seek(Partition::new(1), Offset(2)).await.unwrap();
    let LogSignal::Records(records) = next(&mut consumer).await.unwrap() else { panic!("a record was expected") };
    assert_eq!(records[0].entry, site::event(1, 72));
}

#[tokio::test]
async fn a_garbled_event_at_the_end_is_no_end() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let log = site::open(&config).await;
    put(&servers, &config.topic, 3, &[("ce_position", Some(b"-5")), ("ce_type", Some(b"test.v1.Happened"))]);
    let error = log.ends().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Operator);
    assert!(error.to_string().contains("offset 0 of partition 3"), "{error}");
}
