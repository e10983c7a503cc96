//! Consumer groups whose coordinator fails, against a mock cluster.

use std::time::Duration;

use diptych_kafka::{KafkaConsumer, KafkaEventLog};
use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, Consumer, Effect, EventLog, LogSignal, Offset, Remedy},
};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::{cluster, harness};

/// Polls until the partitions are assigned. Returns how many polls failed before.
async fn wait_for_assignment(consumer: &mut impl Consumer) -> usize {
    let mut failures = 0;
    for _ in 0..1_000 {
        match consumer.poll(10, Duration::from_millis(50)).await {
            Ok(LogSignal::Assigned(assignments)) => {
                assert_eq!(assignments.len(), usize::from(harness::PARTITIONS));
                return failures;
            }
            Ok(_) => {}
            Err(error) => {
                assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
                failures += 1;
            }
        }
    }
    panic!("no partitions were assigned");
}

/// Joins, and starts all partitions.
async fn join_and_start_all(log: &KafkaEventLog) -> KafkaConsumer {
    let mut consumer = log.join("group", "ada").await.unwrap();
    wait_for_assignment(&mut consumer).await;
    for partition in 0..harness::PARTITIONS {
        consumer.seek(Partition::new(partition), Offset(0)).await.unwrap();
    }
    consumer
}

#[tokio::test]
async fn an_assignment_waits_for_the_committed_offsets() {
    let (cluster, log) = cluster(|_| {}).await;
    // Retried by librdkafka a few times, then an error.
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID; 2]);
    let mut consumer = log.join("group", "ada").await.unwrap();
    assert!(wait_for_assignment(&mut consumer).await > 0, "it failed at first");
}

#[tokio::test]
async fn a_commit_survives_a_rebalance_and_is_fenced_after_the_membership_ends() {
    let (cluster, log) = cluster(|_| {}).await;
    let mut consumer = log.join("group", "ada").await.unwrap();
    wait_for_assignment(&mut consumer).await;
    let offsets = [(Partition::new(1), Offset(7))];
    cluster.request_errors(
        RDKafkaApiKey::OffsetCommit,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        ],
    );
    assert_eq!(consumer.commit(&offsets).await.unwrap(), CommitOutcome::Committed);
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID]);
    assert_eq!(consumer.commit(&offsets).await.unwrap(), CommitOutcome::Fenced);
    // Partitions are fenced as soon as they are lost, before the signal says so.
    assert_eq!(consumer.commit(&offsets).await.unwrap(), CommitOutcome::Fenced);
    let signal = consumer.poll(10, harness::WAIT_MAX).await.unwrap();
    assert!(
        matches!(&signal, LogSignal::Revoked(lost, _) if lost.len() == usize::from(harness::PARTITIONS)),
        "{signal:?}"
    );
    wait_for_assignment(&mut consumer).await;
    assert_eq!(consumer.commit(&offsets).await.unwrap(), CommitOutcome::Committed);
}

#[tokio::test]
async fn unreachable_brokers_are_reported_and_reading_resumes() {
    let (cluster, log) = cluster(|config| {
        config.session_timeout = Duration::from_secs(30);
        config.poll_interval_max = config.session_timeout;
    })
    .await;
    let mut consumer = join_and_start_all(&log).await;
    cluster.broker_down(1).unwrap();
    let error = loop {
        match consumer.poll(10, harness::WAIT_MAX).await {
            Err(error) => break error,
            Ok(signal) => assert!(matches!(signal, LogSignal::Idle), "{signal:?}"),
        }
    };
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
    assert!(error.to_string().contains("cannot reach any broker"), "{error}");
    cluster.broker_up(1).unwrap();
    log.append(&[harness::event(1, 70)]).await.unwrap();
    for _ in 0..1_000 {
        if let Ok(LogSignal::Records(records)) = consumer.poll(10, Duration::from_millis(50)).await {
            assert_eq!(records[0].entry, harness::event(1, 70));
            return;
        }
    }
    panic!("the record was not delivered");
}

/// Each attempt to reach a broker leaves an error in the queue, before later rebalance events. A caller that pauses
/// after each error must not get all of them.
#[tokio::test]
async fn many_errors_in_a_row_are_reported_once() {
    let (cluster, log) = cluster(|config| {
        config.session_timeout = Duration::from_secs(30);
        config.poll_interval_max = config.session_timeout;
    })
    .await;
    let mut consumer = join_and_start_all(&log).await;
    cluster.broker_down(1).unwrap();
    while consumer.poll(10, harness::WAIT_MAX).await.is_ok() {}
    // As long as a caller pauses after a few failures.
    tokio::time::sleep(Duration::from_secs(4)).await;
    cluster.broker_up(1).unwrap();
    log.append(&[harness::event(1, 71)]).await.unwrap();
    let mut failures = Vec::new();
    loop {
        match consumer.poll(10, harness::WAIT_MAX).await {
            Ok(LogSignal::Records(_)) => break,
            Ok(_) => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    assert!(failures.len() <= 2, "{failures:#?}");
}

#[tokio::test]
async fn a_refused_session_timeout_is_raised_to_the_default_minimum_of_brokers() {
    let (cluster, log) = cluster(|config| config.session_timeout = Duration::from_secs(2)).await;
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT;
    cluster.request_errors(RDKafkaApiKey::JoinGroup, &[refusal]);
    let mut consumer = log.join("group", "ada").await.unwrap();
    assert_eq!(wait_for_assignment(&mut consumer).await, 0, "it is not an error");
    assert_eq!(consumer.commit(&[(Partition::new(1), Offset(7))]).await.unwrap(), CommitOutcome::Committed);
}

#[tokio::test]
async fn a_refused_session_timeout_that_brokers_allow_by_default_needs_an_operator() {
    let (cluster, log) = cluster(|config| config.session_timeout = Duration::from_secs(6)).await;
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT;
    cluster.request_errors(RDKafkaApiKey::JoinGroup, &[refusal; 100]);
    let mut consumer = log.join("group", "ada").await.unwrap();
    let error = loop {
        match consumer.poll(10, harness::WAIT_MAX).await {
            Err(error) => break error,
            Ok(signal) => assert!(matches!(signal, LogSignal::Idle), "{signal:?}"),
        }
    };
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator), "{error}");
    assert!(error.to_string().contains("group.min.session.timeout.ms"), "{error}");
}
