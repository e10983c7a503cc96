//! librdkafka properties of each kind of client, with the reasons for them.

use std::time::Duration;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::config::KafkaConfig;

/// Heartbeats per session timeout. A member learns of a rebalance with its next heartbeat.
const HEARTBEATS_PER_SESSION: u32 = 10;
/// librdkafka's `max.poll.interval.ms`, in [`KafkaConfig::poll_interval_max`]. A busy member may call
/// `Consumer::heartbeat`, which librdkafka does not see, for a while instead of polling; a rebalance may wait as long.
const LIBRDKAFKA_POLL_INTERVALS: u32 = 4;

/// Maximum wait before a broken connection is opened again. librdkafka's default of 10 seconds would prolong every
/// outage.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Limits of one fetch request, per partition and in total, compressed. Uncompressed it may be ten times as much, and
/// that is most of a member's memory. A record batch that is larger is still fetched, alone.
const PARTITION_FETCH_BYTES_MAX: u32 = 128 * 1024;
const FETCH_BYTES_MAX: u32 = 1024 * 1024;

/// Number of records per partition that are prefetched, if they are small.
const PREFETCH_RECORDS: u32 = 1_000;

/// Default of brokers for `max.message.bytes`.
pub(crate) const BROKER_RECORD_BYTES_MAX: u32 = 1_048_588;

pub(crate) fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// Properties of every client.
fn common(config: &KafkaConfig, client_id: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    for (key, value) in &config.extra {
        client.set(key, value);
    }
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("client.id", client_id)
        .set("reconnect.backoff.max.ms", millis(RECONNECT_BACKOFF_MAX))
        // Detects half-open connections even when nothing is sent.
        .set("socket.keepalive.enable", "true")
        .set("socket.timeout.ms", millis(config.request_timeout.max(Duration::from_secs(1))))
        // The broker closes idle connections; that is not worth a log line.
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    client
}

/// Properties of admin clients, which look topics up and create them.
pub(crate) fn admin(config: &KafkaConfig) -> ClientConfig {
    common(config, "diptych-admin")
}

/// Properties of the producer.
///
/// The order of records in a partition rests on four properties. With `enable.idempotence` the broker refuses a request
/// whose predecessor it does not have, so that requests in flight never overtake each other. With
/// `message.timeout.ms=0` librdkafka never drops a record from the middle of the queue and sends what is behind it: the
/// appender alone times out, and then purges everything. With `enable.gapless.guarantee` the whole producer stops when
/// a broker refuses a request permanently. With `acks=all` an acknowledged record is durable.
///
/// `debug=eos` is part of them: librdkafka raises the epoch of an idempotent producer by itself
/// (`rd_kafka_idemp_drain_epoch_bump`), and no setting prevents it, no error reports it, and statistics report it only
/// afterwards. Its debug log does, before the epoch is raised. This context writes a line when the producer gets an id
/// and when a request is refused, none per record.
pub(crate) fn producer(config: &KafkaConfig) -> ClientConfig {
    let mut client = common(config, "diptych-relay");
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "5")
        .set("enable.gapless.guarantee", "true")
        .set("message.timeout.ms", "0")
        // After this time a request is sent again. The broker recognises repeats by their sequence number.
        .set("request.timeout.ms", millis(config.request_timeout.max(Duration::from_secs(1))))
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "500")
        .set("linger.ms", (config.linger.as_secs_f64() * 1e3).to_string())
        .set("queue.buffering.max.messages", config.queue_records_max.max(1).to_string())
        .set("queue.buffering.max.kbytes", config.queue_kib_max.max(1).to_string())
        .set("message.max.bytes", config.record_bytes_max.to_string())
        .set_log_level(RDKafkaLogLevel::Debug);
    let debug = config.extra.get("debug").map(|contexts| format!("{contexts},eos"));
    client.set("debug", debug.as_deref().unwrap_or("eos"));
    if !config.extra.contains_key("compression.type") {
        client.set("compression.type", "lz4");
    }
    client
}

/// Properties of the consumer that reads the ends of partitions. It has a group id because librdkafka requires one to
/// read; it never joins the group and never commits.
pub(crate) fn end_reader(config: &KafkaConfig) -> ClientConfig {
    let mut client = common(config, "diptych-ends");
    client
        .set("group.id", "diptych-ends")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_uncommitted")
        // It reads only where there are records, so a short wait costs nothing; a partition that is added to the
        // assignment waits for the fetch request in flight.
        .set("fetch.wait.max.ms", "5")
        .set("fetch.min.bytes", "1")
        .set("fetch.message.max.bytes", PARTITION_FETCH_BYTES_MAX.to_string())
        .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
        .set("queued.max.messages.kbytes", config.prefetch_kib_max.max(1).to_string())
        .set("fetch.queue.backoff.ms", "1");
    client
}

/// Properties of a consumer-group member.
///
/// **The classic protocol with cooperative-sticky**, not `group.protocol=consumer` (KIP-848): there the broker chooses
/// the session timeout and the heartbeat interval (45 and 5 seconds unless its operator changed them), so that
/// [`KafkaConfig::session_timeout`] would have no effect, a member would learn of a rebalance up to five seconds late,
/// and a broker before 4.0 could not be used. Cooperative-sticky also leaves partitions where they are: a member goes
/// on reading the partitions that it keeps.
///
/// **Static membership** (`group.instance.id`): a member that comes back within its session timeout gets its partitions
/// without a rebalance.
pub(crate) fn group_member(config: &KafkaConfig, group: &str, member: &str, session_timeout: Duration) -> ClientConfig {
    let poll_interval_max = session_timeout.max(config.poll_interval_max * LIBRDKAFKA_POLL_INTERVALS);
    let mut client = common(config, &format!("diptych-{member}"));
    client
        .set("group.id", group)
        .set("group.instance.id", member)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", millis(session_timeout))
        .set("max.poll.interval.ms", millis(poll_interval_max))
        .set("heartbeat.interval.ms", millis(session_timeout / HEARTBEATS_PER_SESSION))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // If retention has deleted the offset, reading starts at the first record.
        .set("auto.offset.reset", "earliest")
        // Diptych writes no transactions, so an open transaction of another program must not hold the members up.
        .set("isolation.level", "read_uncommitted")
        .set("fetch.wait.max.ms", millis(config.fetch_wait_max))
        .set("fetch.min.bytes", "1")
        .set("fetch.message.max.bytes", PARTITION_FETCH_BYTES_MAX.to_string())
        .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
        .set("queued.min.messages", PREFETCH_RECORDS.to_string())
        .set("queued.max.messages.kbytes", config.prefetch_kib_max.max(1).to_string())
        // When the queue was full, fetch again soon: the default of a second would starve a reader of so small a queue.
        .set("fetch.queue.backoff.ms", "5");
    client
}
