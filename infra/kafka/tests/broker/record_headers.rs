//! Records as an independent consumer sees them: CloudEvents in binary mode.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use diptych_kafka::{KafkaConfig, KafkaEventLog, WATERMARK_TYPE};
use diptych_kernel::{
    ports::{EventLog, Offset, Remedy},
    vocabulary::{History, HistoryId},
};
use rdkafka::{
    ClientConfig, Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, Headers},
};

use crate::harness;

fn headers(message: &BorrowedMessage<'_>) -> BTreeMap<String, String> {
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    message.headers().unwrap().iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
}

fn expected<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn plain_consumer(servers: &str, topic: &str, partition: i32) -> BaseConsumer {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", servers).set("group.id", "independent").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, KafkaOffset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    consumer
}

#[tokio::test]
async fn records_are_cloud_events() {
    let Some(servers) = harness::servers() else { return };
    let mut config = harness::config(&servers);
    config.ce_source = "/test/source".into();
    let log = harness::open(&config).await;
    log.append(&[harness::event(2, 70), harness::watermark(2, 80, 70)]).await.unwrap();

    let consumer = plain_consumer(&servers, &config.topic, 2);
    let event = consumer.poll(harness::WAIT_MAX).unwrap().unwrap();
    assert_eq!(event.key(), Some(harness::stream(2).as_str().as_bytes()));
    assert_eq!(event.payload(), Some(&70_i64.to_be_bytes()[..]));
    assert_eq!(
        headers(&event),
        expected([
            ("ce_specversion", "1.0"),
            ("ce_id", "70"),
            ("ce_source", "/test/source"),
            ("ce_type", "test.v1.Happened"),
            ("ce_time", "2025-11-26T10:04:05.000070Z"),
            ("ce_subject", harness::stream(2).as_str()),
            ("ce_position", "70"),
            ("ce_version", "70"),
            ("ce_requestid", "00000000-0000-0000-0000-000000000046"),
            ("content-type", "application/protobuf"),
            ("traceparent", "00-1-2-01"),
        ])
    );
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let arrived = event.timestamp().to_millis().unwrap();
    assert!((now - arrived).abs() < 60_000, "the record timestamp is the time of arrival, not {arrived}");

    let watermark = consumer.poll(harness::WAIT_MAX).unwrap().unwrap();
    assert_eq!((watermark.key(), watermark.payload()), (None, None));
    assert_eq!(
        headers(&watermark),
        expected([
            ("ce_specversion", "1.0"),
            ("ce_id", "watermark-2-80-1764151446000080"),
            ("ce_source", "/test/source"),
            ("ce_type", WATERMARK_TYPE),
            ("ce_time", "2025-11-26T10:04:06.000080Z"),
            ("ce_position", "80"),
            ("ce_lastevent", "70"),
        ])
    );
}

#[tokio::test]
async fn a_watermark_carries_a_summary_of_the_records_before_it() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let log = harness::open(&config).await;
    log.append(&[harness::event(1, 70)]).await.unwrap();
    log.append(&[harness::watermark(1, 80, 70)]).await.unwrap();
    let consumer = plain_consumer(&servers, &config.topic, 1);
    drop(consumer.poll(harness::WAIT_MAX).unwrap().unwrap());
    let watermark = consumer.poll(harness::WAIT_MAX).unwrap().unwrap();
    // Below offset 1, the last event has offset 0, position 70 and this request id.
    assert_eq!(headers(&watermark)["ce_tail"], format!("1:0:70:{}", harness::identity(70).request_id));
}

#[tokio::test]
async fn records_name_their_history_and_those_that_a_restore_lost_are_skipped() {
    let Some(servers) = harness::servers() else { return };
    let mut history = History::new(HistoryId::random());
    let before = KafkaConfig { history: Some(history.clone()), ..harness::config(&servers) };
    let log = harness::open(&before).await;
    log.append(&[harness::event(1, 70), harness::event(1, 71)]).await.unwrap();
    let consumer = plain_consumer(&servers, &before.topic, 1);
    let record = consumer.poll(harness::WAIT_MAX).unwrap().unwrap();
    assert_eq!(headers(&record)["ce_history"], history.id().to_string());

    // A restore kept the events up to 70, and another event got position 71.
    history.renew(HistoryId::random(), harness::position(70));
    let after = KafkaConfig { history: Some(history), ..before.clone() };
    let restored = KafkaEventLog::open(after.clone()).await.unwrap();
    assert_eq!(restored.ends().await.unwrap()[1].last_event, Some(harness::identity(70)));
    restored.append(&[harness::event(1, 71)]).await.unwrap();
    let mut member = restored.join("group", "member").await.unwrap();
    let read = harness::read_until(&mut member, Offset(0), |read| read.len() >= 2).await;
    let offsets: Vec<_> = read.iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, [0, 2], "the lost record is skipped");

    // Another installation is refused, whether it reads or looks for the end.
    let other = KafkaConfig { history: Some(History::new(HistoryId::random())), ..after };
    let other = KafkaEventLog::open(other).await.unwrap();
    let error = other.ends().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Operator);
    for part in ["another installation uses the topic", "kafka.topic, scylla.keyspace, memcached.key_prefix"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}
