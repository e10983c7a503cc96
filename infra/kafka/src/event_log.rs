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
    /// When the configuration is invalid, the brokers cannot be reached, or the topic does not exist or is unsafe (see
    /// [`KafkaConfig::allow_unsafe_topic`]).
    pub async fn open(config: KafkaConfig) -> PortResult<Self> {
        config.check()?;
        let config = Arc::new(config);
        let partitions = topic::open(&config).await?;
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

#[cfg(test)]
mod tests {
    use std::slice;

    use bytes::Bytes;
    use diptych_kernel::{
        EventIdentity, EventMetadata, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
        ports::{Effect, Offset, Remedy},
    };
    use rdkafka::mocking::MockCluster;
    use uuid::Uuid;

    use super::*;
    use crate::record::TailSummary;

    fn partition() -> Partition {
        Partition::new(0)
    }

    fn position(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    fn identity(number: i64) -> EventIdentity {
        EventIdentity { position: position(number), request_id: RequestId::from_uuid(Uuid::from_u128(1)) }
    }

    fn event(number: i64) -> LogEntry {
        LogEntry::Event(RecordedEvent {
            position: position(number),
            partition: partition(),
            stream_id: StreamId::new("stream").unwrap(),
            version: Version::new(u32::try_from(number).unwrap()),
            event_type: "test.v1.Happened".into(),
            payload: Bytes::new(),
            metadata: EventMetadata::default(),
            request_id: RequestId::from_uuid(Uuid::from_u128(1)),
            recorded_at: Timestamp::from_micros(1_764_151_445_000_000),
        })
    }

    #[tokio::test]
    async fn a_lost_end_fails_the_append_that_finds_it_and_is_reported_until_records_follow_it_again() {
        let cluster = MockCluster::new(1).unwrap();
        let config = KafkaConfig {
            replication_factor: 1,
            min_insync_replicas: 1,
            ..KafkaConfig::new(cluster.bootstrap_servers(), "events")
        };
        cluster.create_topic(&config.topic, 1, 1).unwrap();
        let log = KafkaEventLog::open(config).await.unwrap();
        log.append(&[event(1), event(2)]).await.unwrap();
        // As if the log had held eight more records, which it lost; and the mock cannot.
        let before = TailSummary { end_exclusive: 10, last_event: Some((9, identity(10))) };
        log.tails.record_end(partition(), before.end_exclusive, before);

        let error = log.append(&[event(11), event(12)]).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::Unknown, Remedy::Retry), "{error}");
        assert!(error.to_string().contains("stored at offset 2, and the partition ended at 10"), "{error}");
        // Not the event that was stored behind the loss.
        let lost = PartitionEnd { next_offset: Offset(2), last_event: Some(identity(2)) };
        assert_eq!(log.ends().await.unwrap(), slice::from_ref(&lost));
        assert_eq!(log.ends().await.unwrap(), [lost]);

        log.append(&(3..=12).map(event).collect::<Vec<_>>()).await.unwrap();
        let end = log.ends().await.unwrap()[0];
        assert_eq!(end.last_event, Some(identity(12)));
        // The event that found the loss is on the log, and the one behind it may be.
        assert!((13..=14).contains(&end.next_offset.0), "{end:?}");
    }
}
