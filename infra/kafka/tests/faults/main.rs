//! Brokers that fail in chosen ways: librdkafka's own mock of a cluster, so that no server is needed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic here is the report of a test")]

mod appends;
mod groups;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../site/mod.rs"]
mod site;

use std::{sync::Arc, time::Duration};

use diptych_kafka::{KafkaConfig, KafkaEventLog};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A cluster of one broker with a topic, and the log on it.
async fn cluster(change: impl FnOnce(&mut KafkaConfig)) -> (Cluster, Arc<KafkaEventLog>) {
    site::show_logs();
    let cluster = MockCluster::new(1).unwrap();
    let mut config = site::config(&cluster.bootstrap_servers());
    // The mock waits three seconds for further members before it gives partitions to the first.
    config.session = Duration::from_secs(10);
    config.append_wait_max = Duration::from_secs(2);
    config.answer_wait_max = Duration::from_secs(2);
    change(&mut config);
    cluster.create_topic(&config.topic, i32::from(site::PARTITIONS), 1).unwrap();
    let log = KafkaEventLog::open(config).await.unwrap();
    (cluster, Arc::new(log))
}
