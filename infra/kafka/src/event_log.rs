//! The event log port on Kafka.

use std::sync::Arc;

use diptych_kernel::{
    Partitions,
    ports::{EventLog, LogEntry, PartitionEnd, PortResult},
};

use crate::{
    append::Appender,
    blocking::run_blocking,
    config::KafkaConfig,
    consumer::KafkaConsumer,
    end_offsets::{TailSummaries, read_ends},
    topic,
};

/// The event log on Kafka. A process needs one handle; several handles may be open on the same topic.
///
/// An open handle is not a connection: clients are created when they are needed (a producer with the first append, a
/// consumer with each [`EventLog::join`], a reader for the duration of each [`EventLog::ends`]), and reconnect by
/// themselves.
#[derive(Debug)]
pub struct KafkaEventLog {
    config: Arc<KafkaConfig>,
    partitions: Partitions,
    tails: Arc<TailSummaries>,
    appender: Appender,
}

impl KafkaEventLog {
    /// Opens the log on a topic that [`ensure_topic`](crate::ensure_topic) has created, and reads the number of
    /// partitions from it.
    ///
    /// # Errors
    /// When the configuration is invalid, the brokers cannot be reached, or the topic does not exist.
    pub async fn open(config: KafkaConfig) -> PortResult<Self> {
        config.check()?;
        let config = Arc::new(config);
        let partitions = topic::partitions_of(&config).await?;
        let tails = Arc::new(TailSummaries::new(partitions));
        let appender = Appender::new(Arc::clone(&config), Arc::clone(&tails));
        Ok(Self { config, partitions, tails, appender })
    }
}

impl EventLog for KafkaEventLog {
    type Consumer = KafkaConsumer;

    fn partitions(&self) -> Partitions {
        self.partitions
    }

    async fn append(&self, entries: &[LogEntry]) -> PortResult<()> {
        self.appender.append(entries, self.partitions).await
    }

    async fn ends(&self) -> PortResult<Vec<PartitionEnd>> {
        let (config, partitions, tails) = (Arc::clone(&self.config), self.partitions, Arc::clone(&self.tails));
        run_blocking("read the ends of the partitions", move || read_ends(&config, partitions, &tails)).await
    }

    async fn join(&self, group: &str, member: &str) -> PortResult<KafkaConsumer> {
        KafkaConsumer::join(Arc::clone(&self.config), group, member).await
    }
}
