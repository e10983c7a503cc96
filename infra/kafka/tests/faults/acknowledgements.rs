//! Records that the log acknowledges are on the log, against a mock cluster.
//!
//! The mock does not check sequence numbers: it stores a request although it has refused the one before, as a broker
//! does that has no state for the producer id on the partition.

use std::{slice, time::Duration};

use diptych_kernel::ports::{Effect, EventLog, Remedy};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::{cluster, harness};

const PRODUCE: RDKafkaApiKey = RDKafkaApiKey::Produce;
const REFUSED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;

/// Long enough for both requests to be in flight when the first one is refused.
const ROUND_TRIP_TIME: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_new_producer_sends_one_record_to_a_partition_and_waits_for_it() {
    let (cluster, log) = cluster(|config| {
        config.extra.insert("batch.num.messages".into(), "1".into());
    })
    .await;
    // Starts the producer, on another partition.
    log.append(&[harness::event(1, 1)]).await.unwrap();
    cluster.broker_round_trip_time(1, ROUND_TRIP_TIME).unwrap();
    cluster.request_errors(PRODUCE, &[REFUSED]);
    let entries = [harness::event(0, 2), harness::event(0, 3), harness::event(0, 4)];
    log.append(&entries).await.unwrap();
    assert_eq!(harness::read_all(&log).await[0], entries);
}

#[tokio::test]
async fn a_record_reported_as_delivered_without_an_offset_fails_the_append() {
    let (cluster, log) = cluster(|config| {
        config.extra.insert("batch.num.messages".into(), "1".into());
    })
    .await;
    let first = harness::event(0, 1);
    log.append(slice::from_ref(&first)).await.unwrap();
    cluster.broker_round_trip_time(1, ROUND_TRIP_TIME).unwrap();
    cluster.request_errors(PRODUCE, &[REFUSED]);
    let entries = [harness::event(0, 2), harness::event(0, 3)];
    let error = log.append(&entries).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
    assert!(error.to_string().contains("without an offset"), "{error}");
    log.append(&entries).await.unwrap();
    let [second, third] = entries;
    assert_eq!(harness::read_all(&log).await[0], [first, third.clone(), second, third]);
}

#[tokio::test]
async fn a_raised_producer_epoch_ends_the_producer() {
    let (cluster, log) = cluster(|_| {}).await;
    log.append(&[harness::event(0, 1)]).await.unwrap();
    cluster.broker_round_trip_time(1, ROUND_TRIP_TIME).unwrap();
    // librdkafka raises the epoch and sends the record again.
    cluster.request_errors(PRODUCE, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID]);
    let error = log.append(&[harness::event(0, 2)]).await.unwrap_err();
    assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
    assert!(error.to_string().contains("epoch"), "{error}");
    log.append(&[harness::event(0, 2)]).await.unwrap();
    assert_eq!(log.ends().await.unwrap()[0].last_event, Some(harness::identity(2)));
}
