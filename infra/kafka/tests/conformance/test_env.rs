//! Test environment: a new topic of a real Kafka.

use std::{future::Future, sync::Arc, time::Duration};

use diptych_kafka::{KafkaConfig, KafkaConsumer, KafkaEventLog, ensure_topic};
use diptych_kernel::{
    Partitions,
    ports::{EventLog, LogEntry, PartitionEnd, PortResult},
    testing::TestEnv,
};

use crate::harness;

/// A topic of its own on the Kafka under test.
pub(crate) struct KafkaTestEnv {
    config: KafkaConfig,
}

impl KafkaTestEnv {
    pub(crate) async fn new(servers: &str) -> Self {
        let config = harness::config(servers);
        ensure_topic(&config, harness::partitions()).await.unwrap();
        Self { config }
    }
}

/// The log, with group names that are unique on the broker: groups are not bound to a topic.
pub(crate) struct UniqueGroupsLog {
    log: KafkaEventLog,
    topic: String,
}

impl EventLog for UniqueGroupsLog {
    type Consumer = KafkaConsumer;

    fn partitions(&self) -> Partitions {
        self.log.partitions()
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        self.log.append(entries).await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        self.log.ends().await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<KafkaConsumer> {
        self.log.join(&format!("{} {group}", self.topic), member).await
    }
}

impl TestEnv for KafkaTestEnv {
    type Handle = UniqueGroupsLog;

    async fn handle(&self) -> Arc<UniqueGroupsLog> {
        let log = KafkaEventLog::open(self.config.clone()).await.unwrap();
        Arc::new(UniqueGroupsLog { log, topic: self.config.topic.clone() })
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    async fn timeout<T>(&self, bound: Duration, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(bound, future).await.ok()
    }

    fn session_timeout(&self) -> Duration {
        self.config.session_timeout
    }

    fn wait_max(&self) -> Duration {
        Duration::from_millis(40)
    }
}
