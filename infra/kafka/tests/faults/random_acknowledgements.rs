//! Random faults of produce requests, against a mock cluster: every acknowledged record is on the log, in order.
//!
//! The mock does not check sequence numbers, so that a refused request is overtaken by the next one unless the appender
//! prevents it or notices it.

use std::{thread, time::Duration};

use diptych_kafka::KafkaConfig;
use diptych_kernel::{
    ports::{EventLog, LogEntry},
    testing::{seeds, with_seed},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::{Cluster, cluster_of, harness, writer::Writer};

const SEEDS_DEFAULT: u64 = 4;
const CONCURRENT_RUNS: usize = 10;
const BROKERS: i32 = 3;
const ROUNDS: usize = 8;
const EVENTS_PER_ROUND_MAX: i64 = 40;

/// Errors that a broker answers to a produce request, and that librdkafka or the appender recovers from.
const REFUSALS: [RDKafkaRespErr; 7] = [
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER,
];

/// Makes the next produce requests fail or wait, or moves partitions between brokers.
fn inject_faults(cluster: &Cluster, topic: &str, rng: &mut SmallRng) {
    for broker in 1..=BROKERS {
        let round_trip_time_ms = [0, 0, 5, 40][rng.random_range(0..4)];
        cluster.broker_round_trip_time(broker, Duration::from_millis(round_trip_time_ms)).unwrap();
    }
    if rng.random_bool(0.3) {
        let partition = rng.random_range(0..i32::from(harness::PARTITIONS));
        cluster.partition_leader(topic, partition, Some(rng.random_range(1..=BROKERS))).unwrap();
    }
    if rng.random_bool(0.7) {
        let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let refusal_rate = rng.random_range(0.1..0.6);
        let answers: Vec<_> = (0..rng.random_range(1..20))
            .map(|_| if rng.random_bool(refusal_rate) { REFUSALS[rng.random_range(0..REFUSALS.len())] } else { none })
            .collect();
        cluster.request_errors(RDKafkaApiKey::Produce, &answers);
    }
}

/// Returns whether `records` contains `expected`, in order, possibly with others in between.
fn contains_in_order(records: &[LogEntry], expected: impl Iterator<Item = LogEntry>) -> bool {
    let mut records = records.iter();
    expected.into_iter().all(|expected| records.any(|record| *record == expected))
}

/// Returns the number of failed appends.
async fn every_acknowledged_record_is_on_the_log(seed: u64) -> usize {
    let mut rng = SmallRng::seed_from_u64(seed);
    let batch_records = rng.random_range(1..=8).to_string();
    let mut topic = String::new();
    let (cluster, log) = cluster_of(BROKERS, |config: &mut KafkaConfig| {
        config.extra.insert("batch.num.messages".into(), batch_records);
        config.extra.insert("topic.metadata.refresh.fast.interval.ms".into(), "10".into());
        config.append_wait_max = Duration::from_secs(2);
        topic.clone_from(&config.topic);
    })
    .await;
    log.ends().await.unwrap();
    let mut writer = Writer::new(&log);
    let mut next = 1;
    for _ in 0..ROUNDS {
        inject_faults(&cluster, &topic, &mut rng);
        let count = rng.random_range(1..=EVENTS_PER_ROUND_MAX);
        let partition = |rng: &mut SmallRng| rng.random_range(0..harness::PARTITIONS);
        let events = (next..next + count).map(|number| harness::event(partition(&mut rng), number)).collect();
        next += count;
        writer.write(events).await;
    }
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    for broker in 1..=BROKERS {
        cluster.broker_round_trip_time(broker, Duration::ZERO).unwrap();
    }
    for (partition, records) in harness::read_all(&log).await.into_iter().enumerate() {
        let of_partition = |entry: &&LogEntry| entry.partition().index() == partition;
        let acknowledged = writer.acknowledged.iter().filter(of_partition).cloned();
        assert!(
            contains_in_order(&records, acknowledged.clone()),
            "partition {partition} lacks a record: acknowledged are {:?}, on the log are {:?}",
            acknowledged.map(|entry| harness::position_of(&entry).as_i64()).collect::<Vec<_>>(),
            records.iter().map(|entry| harness::position_of(entry).as_i64()).collect::<Vec<_>>()
        );
    }
    writer.failures
}

#[test]
fn every_acknowledged_record_is_on_the_log_despite_refused_delayed_and_reordered_requests() {
    let seeds: Vec<u64> = seeds(SEEDS_DEFAULT).collect();
    let failures: usize = seeds.chunks(CONCURRENT_RUNS).map(run_concurrently).sum();
    println!("{} runs, {failures} failed appends", seeds.len());
    assert!(failures > 0, "no append has failed");
}

/// Returns the number of failed appends. Each run has a thread and a cluster of its own, and mostly waits.
fn run_concurrently(seeds: &[u64]) -> usize {
    thread::scope(|scope| {
        let run = |seed| async move { with_seed(seed, every_acknowledged_record_is_on_the_log(seed)).await };
        let runs: Vec<_> = seeds
            .iter()
            .map(|seed| scope.spawn(move || tokio::runtime::Runtime::new().unwrap().block_on(run(*seed))))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    })
}
