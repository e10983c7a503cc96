//! The properties of each kind of client, and why they are what they are.

use std::time::Duration;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::config::KafkaConfig;

/// A heartbeat goes out so many times in a session: a rebalance is noticed with the next one.
const HEARTBEATS_PER_SESSION: u32 = 10;
/// For how many sessions a member may be busy with what it has heard.
const BUSY_SESSIONS_MAX: u32 = 4;

/// How long a broken connection is left alone, at most. The default of 10 seconds would add to every outage.
const RECONNECT_WAIT_MAX: Duration = Duration::from_secs(1);

/// How much one request may bring a member, of one partition and of all, compressed: unpacked it may be ten times as much, and that is most
/// of what a member takes of memory. A larger batch comes all the same, alone.
const PARTITION_FETCH_BYTES_MAX: u32 = 128 * 1024;
const FETCH_BYTES_MAX: u32 = 1024 * 1024;

/// How many records of a partition are fetched ahead, where they are small.
const PREFETCH_RECORDS: u32 = 1_000;

pub(crate) fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// What all clients share.
fn common(config: &KafkaConfig, client_id: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    for (key, value) in &config.extra {
        client.set(key, value);
    }
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("client.id", client_id)
        .set("reconnect.backoff.max.ms", millis(RECONNECT_WAIT_MAX))
        // Half-dead connections are noticed, also where nothing is sent.
        .set("socket.keepalive.enable", "true")
        .set("socket.timeout.ms", millis(config.answer_wait_max.max(Duration::from_secs(1))))
        // An idle connection that the broker closes is no news.
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    client
}

/// For topics: looks, makes, tells.
pub(crate) fn admin(config: &KafkaConfig) -> ClientConfig {
    common(config, "diptych-admin")
}

/// Appends.
///
/// The order of a partition stands on four properties. `enable.idempotence` lets the broker refuse a request whose predecessor it does not
/// have, so that requests in flight never overtake each other. `message.timeout.ms=0` keeps librdkafka from giving up a record in the
/// middle of the queue and sending what is behind it: giving up is the appender's, and it gives up everything. `enable.gapless.guarantee`
/// stops the whole producer where a broker refuses a request for good. `acks=all` makes an acknowledgement last.
pub(crate) fn producer(config: &KafkaConfig) -> ClientConfig {
    let mut client = common(config, "diptych-relay");
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("max.in.flight.requests.per.connection", "5")
        .set("enable.gapless.guarantee", "true")
        .set("message.timeout.ms", "0")
        // How long one request may take before it is sent again. The broker knows repeats by their sequence.
        .set("request.timeout.ms", millis(config.answer_wait_max.max(Duration::from_secs(1))))
        .set("retry.backoff.ms", "20")
        .set("retry.backoff.max.ms", "500")
        .set("linger.ms", (config.linger.as_secs_f64() * 1e3).to_string())
        .set("queue.buffering.max.messages", config.queue_records_max.max(1).to_string())
        .set("queue.buffering.max.kbytes", config.queue_kib_max.max(1).to_string())
        .set("message.max.bytes", config.record_bytes_max.to_string());
    if !config.extra.contains_key("compression.type") {
        client.set("compression.type", "lz4");
    }
    client
}

/// Reads the ends of partitions. It has a group's name because librdkafka wants one to read, and never joins or commits.
pub(crate) fn reader(config: &KafkaConfig) -> ClientConfig {
    let mut client = common(config, "diptych-ends");
    client
        .set("group.id", "diptych-ends")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_uncommitted")
        // There is something to read where it looks, so a short wait costs nothing; a partition that is added waits for the request that
        // is under way.
        .set("fetch.wait.max.ms", "5")
        .set("fetch.min.bytes", "1")
        .set("fetch.message.max.bytes", PARTITION_FETCH_BYTES_MAX.to_string())
        .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
        .set("queued.max.messages.kbytes", config.prefetch_kib_max.max(1).to_string())
        .set("fetch.queue.backoff.ms", "1");
    client
}

/// A member of a group.
///
/// **The classic protocol with cooperative-sticky**, not `group.protocol=consumer` (KIP-848): there the session and the heartbeats are
/// the broker's to say (45 and 5 seconds unless its operator changed them), so that [`KafkaConfig::session`] would mean nothing, a
/// rebalance would be noticed up to five seconds late, and a broker before 4.0 could not be used. Cooperative-sticky leaves partitions
/// where they are too: who keeps his goes on reading.
///
/// **Static membership** (`group.instance.id`): a member that comes back within its session gets its partitions without a rebalance.
pub(crate) fn member(config: &KafkaConfig, group: &str, member: &str) -> ClientConfig {
    let session = millis(config.session);
    let mut client = common(config, &format!("diptych-{member}"));
    client
        .set("group.id", group)
        .set("group.instance.id", member)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", &session)
        // Who is busy may say so for a while instead of polling (`Consumer::heartbeat`). For as long a rebalance may wait for it.
        .set("max.poll.interval.ms", millis(config.session * BUSY_SESSIONS_MAX))
        .set("heartbeat.interval.ms", millis(config.session / HEARTBEATS_PER_SESSION))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Where retention has taken the offset, reading starts at the first record there is.
        .set("auto.offset.reset", "earliest")
        // Nothing of ours is transactional, so a stranger's open transaction must not hold the members up.
        .set("isolation.level", "read_uncommitted")
        .set("fetch.wait.max.ms", millis(config.fetch_wait_max))
        .set("fetch.min.bytes", "1")
        .set("fetch.message.max.bytes", PARTITION_FETCH_BYTES_MAX.to_string())
        .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
        .set("queued.min.messages", PREFETCH_RECORDS.to_string())
        .set("queued.max.messages.kbytes", config.prefetch_kib_max.max(1).to_string())
        // Where the queue was full, look again soon: the default of a second would starve the reader of a queue this small.
        .set("fetch.queue.backoff.ms", "5");
    client
}
