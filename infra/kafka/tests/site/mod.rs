//! Where the Kafka of the tests is, and what they put there.

use std::{sync::Arc, time::Duration};

use diptych_kafka::{KafkaConfig, KafkaEventLog, ensure_topic};
use diptych_kernel::{
    EventMetadata, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{Consumer, EventLog, LogEntry, LogRecord, LogSignal, Offset, Watermark},
};
use uuid::Uuid;

pub(crate) const PARTITIONS: u16 = 4;

/// Where the Kafka of the tests is. Without one a test is skipped, but not where everything has to be tested.
pub(crate) fn servers() -> Option<String> {
    let servers = std::env::var("DIPTYCH_TEST_KAFKA").ok().filter(|servers| !servers.is_empty());
    if servers.is_none() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty());
        assert!(!is_ci, "DIPTYCH_TEST_KAFKA is not set, and CI has to test against a real Kafka");
        println!("skipped: DIPTYCH_TEST_KAFKA is not set");
    }
    servers
}

/// Prints what happens, where `RUST_LOG` asks for it.
pub(crate) fn show_logs() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    // Fails where another test has done it already.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_thread_names(true).try_init();
}

pub(crate) fn partitions() -> Partitions {
    Partitions::new(PARTITIONS).unwrap()
}

/// For a topic of its own on one broker, with a session as short as the suite wants it.
pub(crate) fn config(servers: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new(servers, format!("test-{}", Uuid::new_v4()));
    config.replication_factor = 1;
    config.min_insync_replicas = 1;
    config.session = Duration::from_secs(2);
    // Longer than the suite holds a guard, which is twenty times its patience.
    config.revoke_wait_max = Duration::from_millis(1_900);
    config
}

/// Makes the topic, and opens the log on it.
pub(crate) async fn open(config: &KafkaConfig) -> Arc<KafkaEventLog> {
    show_logs();
    ensure_topic(config, partitions()).await.unwrap();
    Arc::new(KafkaEventLog::open(config.clone()).await.unwrap())
}

pub(crate) fn at(number: i64) -> Position {
    Position::from_i64(number).unwrap()
}

/// A stream of a partition.
pub(crate) fn stream(partition: u16) -> StreamId {
    let streams = (0..).map(|number| StreamId::new(&format!("stream-{number}")).unwrap());
    streams.into_iter().find(|stream| partitions().of(stream) == Partition::new(partition)).unwrap()
}

/// An event of a partition, made up from its position.
pub(crate) fn event(partition: u16, position: i64) -> LogEntry {
    LogEntry::Event(RecordedEvent {
        position: at(position),
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

pub(crate) fn watermark(partition: u16, position: i64, last_event: i64) -> LogEntry {
    let as_of = Timestamp::from_micros(1_764_151_446_000_000 + position);
    let watermark = Watermark { position: at(position), as_of, last_event: at(last_event) };
    LogEntry::Watermark(Partition::new(partition), watermark)
}

pub(crate) fn position(entry: &LogEntry) -> Position {
    match entry {
        LogEntry::Event(event) => event.position,
        LogEntry::Watermark(_, watermark) => watermark.position,
    }
}

/// How long a test waits for what has to come.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// Asks for signals until something is so, and follows them as a member has to. Returns the records.
pub(crate) async fn read_until(
    consumer: &mut impl Consumer,
    from: Offset,
    mut is_enough: impl FnMut(&[LogRecord]) -> bool,
) -> Vec<LogRecord> {
    let mut read = Vec::new();
    let deadline = tokio::time::Instant::now() + BOUND;
    while !is_enough(&read) {
        assert!(tokio::time::Instant::now() < deadline, "it does not come; read so far: {read:?}");
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

/// Everything on the log, by partition.
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
