//! Appends that fail, against a mock cluster.

use std::time::Duration;

use diptych_kafka::KafkaEventLog;
use diptych_kernel::ports::{Effect, EventLog, LogEntry, Remedy};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::{cluster, harness};

const PRODUCE: RDKafkaApiKey = RDKafkaApiKey::Produce;

fn some_events(first: i64, count: i64) -> Vec<LogEntry> {
    (first..first + count).map(|number| harness::event(u16::try_from(number % 4).unwrap(), number)).collect()
}

/// Checks that each partition has the earlier entries, a prefix of the failed append, all of it from the retry, then
/// the later entries.
async fn assert_prefix_then_retry(log: &KafkaEventLog, before: &[LogEntry], failed: &[LogEntry], later: &[LogEntry]) {
    for (partition, read) in harness::read_all(log).await.into_iter().enumerate() {
        let of = |entries: &[LogEntry]| -> Vec<_> {
            entries.iter().filter(|entry| entry.partition().index() == partition).cloned().collect()
        };
        let (before, failed, later) = (of(before), of(failed), of(later));
        assert!(read.starts_with(&before));
        let read = &read[before.len()..];
        let prefix_len = read.len().checked_sub(failed.len() + later.len()).expect("all entries are stored");
        assert_eq!(read[..prefix_len], failed[..prefix_len], "a prefix in partition {partition}");
        assert_eq!(read[prefix_len..prefix_len + failed.len()], failed, "then all entries of partition {partition}");
        assert_eq!(read[prefix_len + failed.len()..], later);
    }
}

#[tokio::test]
async fn a_late_acknowledgement_is_an_unknown_outcome_and_keeps_the_order() {
    let (cluster, log) = cluster(|_| {}).await;
    let before = some_events(1, 8);
    log.append(&before).await.unwrap();
    // The broker stores the records at once, and its answer comes long after the append has timed out.
    cluster.broker_round_trip_time(1, Duration::from_secs(20)).unwrap();
    let late = some_events(9, 400);
    let error = log.append(&late).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
    assert!(error.to_string().contains("not acknowledged within 5s"), "{error}");
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    log.append(&late).await.unwrap();
    let later = some_events(409, 8);
    log.append(&later).await.unwrap();
    assert_prefix_then_retry(&log, &before, &late, &later).await;
}

#[tokio::test]
async fn a_failed_append_leaves_a_prefix_in_each_partition() {
    // Each record is a request of its own, and one of them is refused permanently.
    let (cluster, log) = cluster(|config| {
        config.extra.insert("batch.num.messages".into(), "1".into());
    })
    .await;
    log.append(&some_events(1, 4)).await.unwrap();
    let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    // The mock does not check sequence numbers, so it is set to refuse what a real broker refuses behind a gap: the
    // requests in flight.
    let behind = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    let errors: Vec<_> = [[none; 5].as_slice(), &[refused], &[behind; 20]].concat();
    cluster.request_errors(PRODUCE, &errors);
    let failed = some_events(5, 40);
    let error = log.append(&failed).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
    cluster.clear_request_errors(PRODUCE);
    log.append(&failed).await.unwrap();
    assert_prefix_then_retry(&log, &some_events(1, 4), &failed, &[]).await;
    let read: usize = harness::read_all(&log).await.iter().map(Vec::len).sum();
    assert!(read > 4 + failed.len(), "some of it was stored before it failed");
}

#[tokio::test]
async fn a_fenced_producer_is_replaced() {
    for code in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    ] {
        let (cluster, log) = cluster(|_| {}).await;
        log.append(&some_events(1, 4)).await.unwrap();
        cluster.request_errors(PRODUCE, &[code; 4]);
        let failed = some_events(5, 4);
        // librdkafka recovers from some of these by itself; others end the producer.
        if let Err(error) = log.append(&failed).await {
            assert_eq!(error.remedy(), Remedy::Retry, "{error}");
            cluster.clear_request_errors(PRODUCE);
            log.append(&failed).await.unwrap();
        }
        log.append(&some_events(9, 4)).await.unwrap();
    }
}

#[tokio::test]
async fn a_transient_error_is_retried_silently() {
    // Each partition's records in one request: the mock does not check sequence numbers, so a refused request must have
    // none behind it.
    let (cluster, log) = cluster(|config| config.linger = Duration::from_millis(100)).await;
    log.append(&some_events(1, 4)).await.unwrap();
    for code in [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ] {
        cluster.request_errors(PRODUCE, &[code]);
    }
    let entries = some_events(5, 40);
    log.append(&entries).await.unwrap();
    assert_prefix_then_retry(&log, &some_events(1, 4), &[], &entries).await;
}

#[tokio::test]
async fn an_error_says_what_the_operator_has_to_do() {
    let (cluster, log) = cluster(|_| {}).await;
    cluster.request_errors(PRODUCE, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 8]);
    let error = log.append(&[harness::event(1, 1)]).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
    assert!(error.to_string().contains("allow this user to read and write the topic"), "{error}");
    cluster.clear_request_errors(PRODUCE);
    log.append(&[harness::event(1, 1)]).await.unwrap();
    assert_prefix_then_retry(&log, &[], &[], &[harness::event(1, 1)]).await;
}

#[tokio::test]
async fn a_retried_append_is_complete() {
    let (cluster, log) = cluster(|_| {}).await;
    let first = some_events(1, 8);
    log.append(&first[..4]).await.unwrap();
    cluster.broker_down(1).unwrap();
    let failed = [&first[..4], &some_events(5, 200)].concat();
    let error = log.append(&failed[4..]).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
    cluster.broker_up(1).unwrap();
    log.append(&failed[4..]).await.unwrap();
    for (partition, read) in harness::read_all(&log).await.into_iter().enumerate() {
        let expected: Vec<_> = failed.iter().filter(|entry| entry.partition().index() == partition).cloned().collect();
        let mut once = Vec::new();
        for entry in read {
            if !once.contains(&entry) {
                once.push(entry);
            }
        }
        assert_eq!(once, expected, "partition {partition} without repeats");
    }
}
