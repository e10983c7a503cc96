//! Address of the Kafka under test, and entries to append to it.

use std::{sync::Arc, time::Duration};

use diptych_kafka::{KafkaConfig, KafkaEventLog, ensure_topic};
use diptych_kernel::{
    EventIdentity, EventMetadata, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp,
    Version,
    ports::{Consumer, EventLog, LogEntry, LogRecord, LogSignal, Offset, Watermark},
};
use uuid::Uuid;

pub(crate) const PARTITIONS: u16 = 4;

/// Bootstrap servers of the Kafka under test. If none is configured, the test is skipped, except in CI.
pub(crate) fn servers() -> Option<String> {
    let servers = std::env::var("DIPTYCH_TEST_KAFKA").ok().filter(|servers| !servers.is_empty());
    if servers.is_none() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty());
        assert!(!is_ci, "DIPTYCH_TEST_KAFKA is not set, and CI must test against a real Kafka");
        println!("skipped: DIPTYCH_TEST_KAFKA is not set");
    }
    servers
}

/// Prints log lines, as `RUST_LOG` selects them.
pub(crate) fn show_logs() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    // Fails if another test has done it before.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_thread_names(true).try_init();
}

pub(crate) fn partitions() -> Partitions {
    Partitions::new(PARTITIONS).unwrap()
}

/// Configuration of a new topic on one broker, with the short timeouts that the conformance suite expects.
pub(crate) fn config(servers: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new(servers, format!("test-{}", Uuid::new_v4()));
    config.replication_factor = 1;
    config.min_insync_replicas = 1;
    config.session_timeout = Duration::from_secs(2);
    config.poll_interval_max = config.session_timeout;
    // Longer than the suite holds a guard, which is twenty times its `wait_max`.
    config.revoke_wait_max = Duration::from_millis(1_900);
    config
}

/// Creates the topic, and opens the log on it.
pub(crate) async fn open(config: &KafkaConfig) -> Arc<KafkaEventLog> {
    show_logs();
    ensure_topic(config, partitions()).await.unwrap();
    Arc::new(KafkaEventLog::open(config.clone()).await.unwrap())
}

pub(crate) fn position(number: i64) -> Position {
    Position::from_i64(number).unwrap()
}

/// A stream on a partition.
pub(crate) fn stream(partition: u16) -> StreamId {
    let streams = (0..).map(|number| StreamId::new(&format!("stream-{number}")).unwrap());
    streams.into_iter().find(|stream| partitions().of(stream) == Partition::new(partition)).unwrap()
}

/// An event on a partition, derived from its position.
pub(crate) fn event(partition: u16, position: i64) -> LogEntry {
    LogEntry::Event(RecordedEvent {
        position: self::position(position),
        partition: Partition::new(partition),
        stream_id: stream(partition),
        version: Version::new(u32::try_from(position).unwrap()),
        event_type: "test.v1.Happened".into(),
        payload: position.to_be_bytes().to_vec().into(),
        metadata: EventMetadata { traceparent: (position % 2 == 0).then(|| "00-1-2-01".into()) },
        request_id: RequestId::from_uuid(Uuid::from_u128(u128::from(position.unsigned_abs()))),
        recorded_at: Timestamp::from_micros(1_764_151_445_000_000 + position),
    })
}

/// The identity of [`event`].
pub(crate) fn identity(number: i64) -> EventIdentity {
    let request_id = RequestId::from_uuid(Uuid::from_u128(u128::from(number.unsigned_abs())));
    EventIdentity { position: position(number), request_id }
}

pub(crate) fn watermark(partition: u16, position: i64, last_event: i64) -> LogEntry {
    let as_of = Timestamp::from_micros(1_764_151_446_000_000 + position);
    let watermark = Watermark { position: self::position(position), as_of, last_event: self::position(last_event) };
    LogEntry::Watermark(Partition::new(partition), watermark)
}

pub(crate) fn position_of(entry: &LogEntry) -> Position {
    match entry {
        LogEntry::Event(event) => event.position,
        LogEntry::Watermark(_, watermark) => watermark.position,
    }
}

/// Timeout of a test's waits.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// Polls until the condition holds, starting every assigned partition at `from`. Returns the records.
pub(crate) async fn read_until(
    consumer: &mut impl Consumer,
    from: Offset,
    mut condition: impl FnMut(&[LogRecord]) -> bool,
) -> Vec<LogRecord> {
    let mut read = Vec::new();
    let deadline = tokio::time::Instant::now() + WAIT_MAX;
    while !condition(&read) {
        assert!(tokio::time::Instant::now() < deadline, "timed out; records so far: {read:?}");
        match consumer.poll(1_000, Duration::from_millis(100)).await.unwrap() {
            LogSignal::Records(records) => read.extend(records),
            LogSignal::Assigned(assignments) => {
                for assignment in assignments {
                    consumer.seek(assignment.partition, from).await.unwrap();
                }
            }
            LogSignal::Revoked(..) | LogSignal::Idle => {}
        }
    }
    read
}

/// All entries on the log, by partition.
pub(crate) async fn read_all(log: &KafkaEventLog) -> Vec<Vec<LogEntry>> {
    let expected: u64 = log.ends().await.unwrap().iter().map(|end| end.next_offset.0).sum();
    let mut consumer = log.join(&format!("all {}", Uuid::new_v4()), "reader").await.unwrap();
    let read = read_until(&mut consumer, Offset(0), |read| read.len() as u64 >= expected).await;
    let mut all = vec![Vec::new(); usize::from(PARTITIONS)];
    for record in read {
        all[record.entry.partition().index()].push(record.entry);
    }
    all
}
