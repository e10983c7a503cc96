//! The sections of settings for the servers around the services. Defaults are those of the adapters.

use std::time::Duration;

use diptych_kafka::KafkaConfig;
use diptych_memcached::MemcachedConfig;
use diptych_postgres::PostgresConfig;
use diptych_scylla::ScyllaConfig;

use super::{
    Config,
    declare::settings,
    rules::Rule,
    values::{
        ByteSize, ClientProperties, Count, Keyspace, Name, PostgresUrl, Secret, ServerList, Switch, TimeSpan, choices,
    },
};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
const MIB: u64 = 1_024 * 1_024;
const GIB: u64 = 1_024 * MIB;
/// The longest allowed timeout for one answer of a server, in milliseconds.
const ANSWER_MAX: u64 = 10 * MINUTE;

settings! {
    /// The write database (Postgres). See [`PostgresConfig`].
    pub(crate) struct PostgresSection for (PostgresConfig = PostgresConfig::new("")) {
        /// URL of the database; several host:port, separated by commas, for a primary and its standbys.
        pub(crate) url: PostgresUrl = PostgresUrl::local(),
        /// Most writes in flight at once, each on a connection of its own.
        write_connections_max: Count<1, 1_024>,
        /// Most reads in flight at once, each on a connection of its own.
        read_connections_max: Count<1, 1_024>,
        /// Longest time to connect, over all hosts.
        connect_timeout: TimeSpan<10, ANSWER_MAX>,
        /// Longest wait for a free connection of the pool.
        pool_timeout: TimeSpan<10, ANSWER_MAX>,
        /// Longest wait for an answer before the connection is dropped; more than statement_timeout.
        answer_timeout: TimeSpan<10, ANSWER_MAX>,
        /// Longest time that a statement may run before the server aborts it.
        statement_timeout: TimeSpan<10, ANSWER_MAX>,
        /// Longest wait of a statement for a lock.
        lock_timeout: TimeSpan<10, ANSWER_MAX>,
        /// True if processes signal appends by LISTEN and NOTIFY; false behind a proxy that shares sessions.
        notify: Switch,
        /// Interval at which waiting readers poll for events without LISTEN and NOTIFY; ten times that with it.
        poll_interval: TimeSpan<1, MINUTE>,
        /// Size of a segment of the table of events, without indexes, after which new events go to the next one.
        event_segment_size: ByteSize<{ 16 * MIB }, { 1_024 * GIB }> as event_segment_bytes,
        /// True if a server without a synchronous standby is refused: only with one does an acknowledged command
        /// survive the loss of the server.
        synchronous_standby_required: Switch,
    }
}

settings! {
    /// The event log (Kafka). See [`KafkaConfig`].
    pub(crate) struct KafkaSection for (KafkaConfig = KafkaConfig::new("", "")) {
        /// Brokers to connect to first; the others are found from there.
        pub(crate) bootstrap_servers: ServerList = ServerList::one("127.0.0.1:9092"),
        /// Topic of the events.
        pub(crate) topic: Name<249> = Name::known("diptych.events"),
        /// Copies of each record, when `diptych migrate` creates the topic; a topic with fewer is refused as unsafe.
        replication_factor: Count<1, 32>,
        /// Copies that must exist before a record is acknowledged, when the topic is created; at most
        /// replication_factor. A topic with fewer is refused as unsafe.
        min_insync_replicas: Count<1, 32>,
        /// Time for which records are kept, when the topic is created; older events are read from the write database.
        retention: TimeSpan<MINUTE, { 3_650 * DAY }>,
        /// True to use a topic that is unsafe: fewer copies or a shorter retention than set here, or unclean leader
        /// elections; its dangers are logged at each start.
        allow_unsafe_topic: Switch,
        /// Time without a heartbeat after which a consumer's process counts as dead and loses its partitions; brokers
        /// refuse less than their group.min.session.timeout.ms (6s unless set), and then 6s are used.
        session_timeout: TimeSpan<SECOND, { 30 * MINUTE }>,
        /// Longest time that a consumer whose process runs may be silent before it loses its partitions.
        poll_interval_max: TimeSpan<SECOND, { 30 * MINUTE }>,
        /// Longest time that a rebalance waits for a consumer to finish its work; less than poll_interval_max.
        revoke_wait_max: TimeSpan<100, { 30 * MINUTE }>,
        /// Longest time for an append, retries included; then its outcome is unknown.
        append_wait_max: TimeSpan<SECOND, ANSWER_MAX>,
        /// Longest wait for any other answer of the brokers.
        request_timeout: TimeSpan<SECOND, ANSWER_MAX>,
        /// Further properties of librdkafka for every client, such as those of SASL.
        extra: ClientProperties,
    }
}

settings! {
    /// The read database (ScyllaDB or Cassandra). See [`ScyllaConfig`].
    pub(crate) struct ScyllaSection for (ScyllaConfig = ScyllaConfig::new(Vec::new(), "")) {
        /// Nodes to connect to first; the others are found from there.
        pub(crate) contact_points: ServerList = ServerList::one("127.0.0.1:9042"),
        /// Keyspace of the views; one installation per keyspace.
        pub(crate) keyspace: Keyspace = Keyspace::known("diptych"),
        /// Data centre whose nodes are queried, recorded by `diptych migrate`; empty for clusters of one data centre,
        /// and with QUORUM.
        datacenter: String,
        /// Copies of each row in a data centre, when `diptych migrate` creates the keyspace.
        replication_factor: Count<1, 32>,
        /// Replicas that must answer: LOCAL_QUORUM (of one data centre) or QUORUM (of all).
        consistency: Consistency,
        /// User to log in as; empty where the servers ask for none.
        user: String,
        /// Password of the user.
        password: Secret,
        /// Longest time for one statement, the driver's retries included.
        request_timeout: TimeSpan<10, ANSWER_MAX>,
        /// Longest time to connect to a node.
        connect_timeout: TimeSpan<10, ANSWER_MAX>,
        /// Most statements in flight at once; more wait.
        requests_max: Count<1, 32_768>,
    }
}

choices! {
    /// Replicas that have to answer. See [`diptych_scylla::Consistency`].
    pub(crate) enum Consistency for diptych_scylla::Consistency {
        /// A majority of the copies in one data centre.
        LocalQuorum = "LOCAL_QUORUM",
        /// A majority of all copies.
        Quorum = "QUORUM",
    }
}

settings! {
    /// The cache (Memcached) in front of the read database. See [`MemcachedConfig`].
    pub(crate) struct MemcachedSection for (MemcachedConfig = MemcachedConfig::new(Vec::new())) {
        /// All servers, spelt the same in every process: the text decides which server has which key.
        pub(crate) servers: ServerList = ServerList::one("127.0.0.1:11211"),
        /// Prefix of all keys, so that several installations can share servers.
        key_prefix: Name<64>,
        /// Connections to each server.
        connections_per_server: Count<1, 64>,
        /// Longest time to connect to a server, name resolution included.
        connect_timeout: TimeSpan<1, MINUTE>,
        /// Longest time for one round trip.
        request_timeout: TimeSpan<1, MINUTE>,
        /// Time for which a row is cached without being written, in whole seconds.
        ttl: TimeSpan<SECOND, { 30 * DAY }>,
        /// True if a refresh also adds rows that are not cached; false leaves the memory to rows that are read.
        refresh_puts_absent: Switch,
    }
}

impl PostgresSection {
    /// The adapter's configuration. The application name appears in the server's activity view.
    pub(crate) fn adapter(&self, application_name: &str, request_id_retention: Duration) -> PostgresConfig {
        PostgresConfig {
            url: self.url.with_password().to_owned(),
            application_name: application_name.to_owned(),
            request_partition_interval: request_id_retention / 3,
            ..self.part()
        }
    }
}

impl KafkaSection {
    /// The adapter's configuration. More in-sync replicas than there are copies count as all of them.
    pub(crate) fn adapter(&self) -> KafkaConfig {
        let part = self.part();
        KafkaConfig {
            bootstrap_servers: self.bootstrap_servers.to_string(),
            topic: self.topic.to_string(),
            min_insync_replicas: part.min_insync_replicas.min(part.replication_factor),
            ..part
        }
    }
}

impl ScyllaSection {
    /// The adapter's configuration.
    pub(crate) fn adapter(&self) -> ScyllaConfig {
        let (contact_points, keyspace) = (self.contact_points.to_vec(), self.keyspace.to_string());
        ScyllaConfig { contact_points, keyspace, ..self.part() }
    }
}

impl MemcachedSection {
    /// The adapter's configuration.
    pub(crate) fn adapter(&self) -> MemcachedConfig {
        MemcachedConfig { servers: self.servers.to_vec(), ..self.part() }
    }
}

/// The rules that involve more than one setting of a server.
pub(super) fn rules(config: &Config) -> [Rule; 4] {
    let Config { postgres, kafka, scylla, memcached, .. } = config;
    [
        Rule {
            key: "postgres.statement_timeout",
            is_kept: postgres.statement_timeout.duration() < postgres.answer_timeout.duration(),
            remedy: "choose less than postgres.answer_timeout, so that the server aborts a statement before the \
                     connection is dropped",
        },
        Rule {
            key: "kafka.revoke_wait_max",
            is_kept: kafka.revoke_wait_max.duration() < kafka.poll_interval_max.duration(),
            remedy: "choose less than kafka.poll_interval_max, so that a consumer can finish its work in time",
        },
        Rule {
            key: "scylla.user",
            is_kept: scylla.user.is_empty() == scylla.password.is_empty(),
            remedy: "set both scylla.user and scylla.password, or neither",
        },
        Rule {
            key: "memcached.servers",
            is_kept: has_no_duplicates(&memcached.servers.to_vec()),
            remedy: "name every server once",
        },
    ]
}

fn has_no_duplicates(texts: &[String]) -> bool {
    texts.iter().enumerate().all(|(index, text)| !texts.iter().take(index).any(|before| before == text))
}
