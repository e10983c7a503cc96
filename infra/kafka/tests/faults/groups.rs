//! Groups whose coordinator fails.

use std::time::Duration;

use diptych_kernel::{
    Partition,
    ports::{CommitOutcome, Consumer, Effect, EventLog, LogSignal, Offset, Remedy},
};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::{cluster, site};

/// Asks until the partitions are there. Returns how often it failed before.
async fn take_all(consumer: &mut impl Consumer) -> usize {
    let mut failures = 0;
    for _ in 0..1_000 {
        match consumer.poll(10, Duration::from_millis(50)).await {
            Ok(LogSignal::Assigned(assignments)) => {
                assert_eq!(assignments.len(), usize::from(site::PARTITIONS));
                return failures;
            }
            Ok(_) => {}
            Err(error) => {
                assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
                failures += 1;
            }
        }
    }
    panic!("the partitions do not come");
}

#[tokio::test]
async fn offsets_that_cannot_be_looked_up_put_partitions_off() {
    let (cluster, log) = cluster(|_| {}).await;
    // Retried by librdkafka a few times, then an error.
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_GROUP_ID; 2]);
    let mut consumer = log.join("group", "ada").await.unwrap();
    assert!(take_all(&mut consumer).await > 0, "it failed at first");
}

#[tokio::test]
async fn a_commit_outlives_a_rebalance_and_ends_with_the_membership() {
    let (cluster, log) = cluster(|_| {}).await;
    let mut consumer = log.join("group", "ada").await.unwrap();
    take_all(&mut consumer).await;
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
    // Nothing is committed of what it is about to hear that it has lost.
    assert_eq!(consumer.commit(&offsets).await.unwrap(), CommitOutcome::Fenced);
    let heard = consumer.poll(10, site::BOUND).await.unwrap();
    assert!(matches!(&heard, LogSignal::Revoked(lost, _) if lost.len() == usize::from(site::PARTITIONS)), "{heard:?}");
    take_all(&mut consumer).await;
    assert_eq!(consumer.commit(&offsets).await.unwrap(), CommitOutcome::Committed);
}

#[tokio::test]
async fn brokers_that_are_away_are_told_of_and_come_back() {
    let (cluster, log) = cluster(|config| config.session = Duration::from_secs(30)).await;
    let mut consumer = log.join("group", "ada").await.unwrap();
    take_all(&mut consumer).await;
    for partition in 0..site::PARTITIONS {
        consumer.seek(Partition::new(partition), Offset(0)).await.unwrap();
    }
    cluster.broker_down(1).unwrap();
    let error = loop {
        match consumer.poll(10, site::BOUND).await {
            Err(error) => break error,
            Ok(signal) => assert!(matches!(signal, LogSignal::Idle), "{signal:?}"),
        }
    };
    assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}");
    assert!(error.to_string().contains("reaches no broker"), "{error}");
    cluster.broker_up(1).unwrap();
    log.append(&[site::event(1, 70)]).await.unwrap();
    for _ in 0..1_000 {
        if let Ok(LogSignal::Records(records)) = consumer.poll(10, Duration::from_millis(50)).await {
            assert_eq!(records[0].entry, site::event(1, 70));
            return;
        }
    }
    panic!("the record does not come");
}

/// Each attempt to reach a broker leaves a failure in the queue, before what the group does later. A caller who pauses after each of them must
/// not have to hear them all.
#[tokio::test]
async fn many_failures_in_a_row_are_told_once() {
    let (cluster, log) = cluster(|config| config.session = Duration::from_secs(30)).await;
    let mut consumer = log.join("group", "ada").await.unwrap();
    take_all(&mut consumer).await;
    for partition in 0..site::PARTITIONS {
        consumer.seek(Partition::new(partition), Offset(0)).await.unwrap();
    }
    cluster.broker_down(1).unwrap();
    while consumer.poll(10, site::BOUND).await.is_ok() {}
    // As long as a caller pauses who has failed a few times.
    tokio::time::sleep(Duration::from_secs(4)).await;
    cluster.broker_up(1).unwrap();
    log.append(&[site::event(1, 71)]).await.unwrap();
    let mut failures = Vec::new();
    loop {
        match consumer.poll(10, site::BOUND).await {
            Ok(LogSignal::Records(_)) => break,
            Ok(_) => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    assert!(failures.len() <= 2, "{failures:#?}");
}
