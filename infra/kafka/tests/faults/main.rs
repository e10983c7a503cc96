//! Brokers that fail in chosen ways: librdkafka's own mock cluster, so that no server is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

mod acknowledgements;
mod failed_appends;
mod failing_coordinator;
#[allow(dead_code, reason = "other test binaries use the rest")]
#[path = "../harness/mod.rs"]
mod harness;
mod random_acknowledgements;
#[path = "../harness/writer.rs"]
mod writer;

use std::{sync::Arc, time::Duration};

use diptych_kafka::{KafkaConfig, KafkaEventLog};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A cluster of one broker with a topic, and the log on it.
async fn cluster(change: impl FnOnce(&mut KafkaConfig)) -> (Cluster, Arc<KafkaEventLog>) {
    cluster_of(1, change).await
}

/// A cluster of several brokers with a topic, and the log on it.
async fn cluster_of(brokers: i32, change: impl FnOnce(&mut KafkaConfig)) -> (Cluster, Arc<KafkaEventLog>) {
    harness::show_logs();
    let cluster = MockCluster::new(brokers).unwrap();
    let mut config = harness::config(&cluster.bootstrap_servers());
    // The mock waits three seconds for further members before it assigns partitions to the first.
    config.session_timeout = Duration::from_secs(10);
    config.poll_interval_max = config.session_timeout;
    config.append_wait_max = Duration::from_secs(5);
    config.request_timeout = Duration::from_secs(5);
    change(&mut config);
    cluster.create_topic(&config.topic, i32::from(harness::PARTITIONS), 1).unwrap();
    let log = KafkaEventLog::open(config).await.unwrap();
    (cluster, Arc::new(log))
}
