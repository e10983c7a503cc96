//! Configuration of the event log.

use std::{collections::BTreeMap, fmt, time::Duration};

use diptych_kernel::{
    ports::{PortError, PortResult},
    vocabulary::History,
};

/// The longest topic name that Kafka allows.
const TOPIC_BYTES_MAX: usize = 249;

/// Properties that [`KafkaConfig::extra`] must not contain, because the guarantees of the log rest on them.
const RESERVED: &[&str] = &[
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "fetch.max.bytes",
    "fetch.wait.max.ms",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "heartbeat.interval.ms",
    "isolation.level",
    "linger.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "max.poll.interval.ms",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "queue.buffering.max.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.required.acks",
    "session.timeout.ms",
];

/// Address of the Kafka cluster, and limits of its clients. Every handle enforces these limits itself.
#[derive(Clone)]
pub struct KafkaConfig {
    /// Brokers for the first connection: `host:port`, separated by commas. The rest of the cluster is discovered.
    pub bootstrap_servers: String,
    /// Topic of the events.
    pub topic: String,
    /// Number of brokers that keep each record. Used when the topic is created; one with fewer is unsafe. Default: 3.
    pub replication_factor: u16,
    /// Number of brokers that must have a record before it is acknowledged. Used when the topic is created; one with
    /// fewer is unsafe. Default: 2, so that an acknowledged record survives the loss of any one broker.
    pub min_insync_replicas: u16,
    /// Retention time of records. Used when the topic is created; one with a shorter time is unsafe. A consumer that
    /// was away for longer reads the missing events from the write database. An idle partition gets a watermark of some
    /// 250 bytes every 10 seconds, which is 2 MB a day. Default: 14 days.
    pub retention: Duration,
    /// True if an existing topic is used although it is unsafe: it has fewer copies or in-sync replicas than these
    /// settings, allows unclean leader elections, deletes records earlier than after `retention`, or takes no record of
    /// `record_bytes_max`. Otherwise it is refused, by name of what is unsafe. Default: false.
    pub allow_unsafe_topic: bool,
    /// Session timeout of a group member, 1 second to 30 minutes. A member whose process is gone, or is suspended,
    /// loses its partitions after this time. The broker bounds it by `group.min.session.timeout.ms` and
    /// `group.max.session.timeout.ms`; if it refuses less than 6 seconds, which is its default minimum, 6 seconds are
    /// used, with a warning. Default: 2 seconds.
    pub session_timeout: Duration,
    /// Maximum time between two polls or heartbeats of a member, 1 second to 30 minutes. A member whose process runs
    /// but does neither is fenced after this time, and replaced one session timeout later. Default: 10 seconds.
    pub poll_interval_max: Duration,
    /// Maximum time that a rebalance waits for a member to drop its
    /// [`RevokeGuard`](diptych_kernel::ports::RevokeGuard). Less than `poll_interval_max`. Default: 5 seconds.
    pub revoke_wait_max: Duration,
    /// Timeout of an append, including retries. Then its unacknowledged records are abandoned, and their outcome
    /// is unknown. Default: 30 seconds.
    pub append_wait_max: Duration,
    /// Timeout of every other request to the brokers. Default: 10 seconds.
    pub request_timeout: Duration,
    /// Time that a record waits for others to share a request with. 0 sends without waiting. Default: 0.
    pub linger: Duration,
    /// Maximum number of records that wait for their acknowledgement; an append with more waits for room. A waiting
    /// record takes about 1 KiB in addition to its bytes, for its headers. Default: 16,384.
    pub queue_records_max: u32,
    /// Maximum size of the records that wait for their acknowledgement, in KiB; an append with more waits for room.
    /// Default: 16,384.
    pub queue_kib_max: u32,
    /// Maximum size of a record in bytes, including headers. The topic's `max.message.bytes` must allow it. Default:
    /// 1,000,000.
    pub record_bytes_max: u32,
    /// Maximum time that a broker delays its answer to a member that has read everything. A record that arrives is
    /// delivered at once all the same; a partition that starts waits up to this long for its first record. Default: 100
    /// milliseconds.
    pub fetch_wait_max: Duration,
    /// Size of the records that a member prefetches, in KiB, in addition to one fetch request (up to 1 MiB,
    /// compressed). Default: 4,096.
    pub prefetch_kib_max: u32,
    /// CloudEvents source of the records (`ce_source`): a URI reference without spaces. Default: `/diptych`.
    pub ce_source: String,
    /// History of the installation: each record is marked with it, records that a restore lost are skipped, and those
    /// of another installation are refused. `None` does none of this. Default: `None`.
    pub history: Option<History>,
    /// Further librdkafka properties for every client, such as `security.protocol` and `sasl.*`. Their values are never
    /// printed.
    pub extra: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// Creates a configuration with the defaults, for a topic of a cluster.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topic: topic.into(),
            replication_factor: 3,
            min_insync_replicas: 2,
            retention: Duration::from_hours(14 * 24),
            allow_unsafe_topic: false,
            session_timeout: Duration::from_secs(2),
            poll_interval_max: Duration::from_secs(10),
            revoke_wait_max: Duration::from_secs(5),
            append_wait_max: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            linger: Duration::ZERO,
            queue_records_max: 16 * 1024,
            queue_kib_max: 16 * 1024,
            record_bytes_max: 1_000_000,
            fetch_wait_max: Duration::from_millis(100),
            prefetch_kib_max: 4 * 1024,
            ce_source: "/diptych".into(),
            history: None,
            extra: BTreeMap::new(),
        }
    }

    /// Checks every setting, and reports all invalid ones at once.
    pub(crate) fn check(&self) -> PortResult<()> {
        let mut problems = Vec::new();
        if self.bootstrap_servers.trim().is_empty() {
            problems.push("bootstrap_servers is empty: set host:port of a broker".to_owned());
        }
        let is_topic_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.topic.is_empty() || self.topic.len() > TOPIC_BYTES_MAX || !self.topic.bytes().all(is_topic_byte) {
            problems.push(format!(
                "invalid topic name {:?}: use 1 to {TOPIC_BYTES_MAX} of a-z, A-Z, 0-9, dot, hyphen, underscore",
                self.topic
            ));
        }
        if self.min_insync_replicas == 0 || self.min_insync_replicas > self.replication_factor {
            problems.push(format!(
                "min_insync_replicas is {}: set 1 to replication_factor, which is {}",
                self.min_insync_replicas, self.replication_factor
            ));
        }
        for (name, value) in [("session_timeout", self.session_timeout), ("poll_interval_max", self.poll_interval_max)]
        {
            if !(Duration::from_secs(1)..=Duration::from_mins(30)).contains(&value) {
                problems.push(format!("{name} is {value:?}: set 1 second to 30 minutes"));
            }
        }
        if self.revoke_wait_max >= self.poll_interval_max {
            problems.push(format!(
                "revoke_wait_max is {:?}: set less than poll_interval_max, which is {:?}; the member would be fenced \
                 while it is still finishing its work",
                self.revoke_wait_max, self.poll_interval_max
            ));
        }
        if self.ce_source.is_empty() || !self.ce_source.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.push(format!("ce_source is {:?}: set a URI of printable ASCII without spaces", self.ce_source));
        }
        for key in self.extra.keys().filter(|key| RESERVED.contains(&key.as_str())) {
            problems.push(format!("extra must not contain {key}: it is derived from other settings"));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(PortError::operator(format!("invalid Kafka configuration: {}", problems.join("; "))))
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra: BTreeMap<&str, &str> = self.extra.keys().map(|key| (key.as_str(), "redacted")).collect();
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("topic", &self.topic)
            .field("replication_factor", &self.replication_factor)
            .field("min_insync_replicas", &self.min_insync_replicas)
            .field("retention", &self.retention)
            .field("allow_unsafe_topic", &self.allow_unsafe_topic)
            .field("session_timeout", &self.session_timeout)
            .field("poll_interval_max", &self.poll_interval_max)
            .field("revoke_wait_max", &self.revoke_wait_max)
            .field("append_wait_max", &self.append_wait_max)
            .field("request_timeout", &self.request_timeout)
            .field("linger", &self.linger)
            .field("queue_records_max", &self.queue_records_max)
            .field("queue_kib_max", &self.queue_kib_max)
            .field("record_bytes_max", &self.record_bytes_max)
            .field("fetch_wait_max", &self.fetch_wait_max)
            .field("prefetch_kib_max", &self.prefetch_kib_max)
            .field("ce_source", &self.ce_source)
            .field("history", &self.history.as_ref().map(History::id))
            .field("extra", &extra)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        KafkaConfig::new("127.0.0.1:9092", "diptych.events").check().unwrap();
    }

    #[test]
    fn all_invalid_settings_are_reported_at_once() {
        let mut config = KafkaConfig::new(" ", "a topic");
        config.revoke_wait_max = config.poll_interval_max;
        config.min_insync_replicas = 4;
        config.ce_source = "a b".into();
        config.extra.insert("acks".into(), "1".into());
        let error = config.check().unwrap_err().to_string();
        for part in ["bootstrap_servers", "\"a topic\"", "revoke_wait_max", "min_insync_replicas", "ce_source", "acks"]
        {
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut config = KafkaConfig::new("127.0.0.1:9092", "events");
        config.extra.insert("sasl.password".into(), "open sesame".into());
        let printed = format!("{config:?}");
        assert!(printed.contains("sasl.password") && !printed.contains("sesame"), "{printed}");
    }
}
