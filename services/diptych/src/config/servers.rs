//! The groups of settings of the servers around the services. Their defaults are those of the adapters.

use std::time::Duration;

use diptych_kafka::KafkaConfig;
use diptych_memcached::MemcachedConfig;
use diptych_postgres::PostgresConfig;
use diptych_scylla::ScyllaConfig;
use serde::{Deserialize, Serialize};

use super::{Count, List, PostgresUrl, Properties, Secret, Span, Switch};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
/// How long one answer of a server may be waited for.
const ANSWER_MAX: u64 = 10 * MINUTE;

/// The write database. See [`PostgresConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Postgres {
    /// Where it is.
    pub(crate) url: PostgresUrl,
    write_connections_max: Count<1, 1_024>,
    read_connections_max: Count<1, 1_024>,
    connect_timeout: Span<10, ANSWER_MAX>,
    pool_timeout: Span<10, ANSWER_MAX>,
    pub(super) answer_timeout: Span<10, ANSWER_MAX>,
    pub(super) statement_timeout: Span<10, ANSWER_MAX>,
    lock_timeout: Span<10, ANSWER_MAX>,
    notify: Switch,
    poll_interval: Span<1, MINUTE>,
}

/// The event log. See [`KafkaConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kafka {
    /// Where to begin.
    pub(crate) bootstrap_servers: List,
    /// The topic of the events.
    pub(crate) topic: String,
    replication_factor: Count<1, 32>,
    /// More than there are copies counts as all of them.
    min_insync_replicas: Count<1, 32>,
    retention: Span<MINUTE, { 3_650 * DAY }>,
    pub(super) session_timeout: Span<SECOND, { 30 * MINUTE }>,
    pub(super) revoke_wait_max: Span<100, { 30 * MINUTE }>,
    append_wait_max: Span<SECOND, ANSWER_MAX>,
    request_timeout: Span<SECOND, ANSWER_MAX>,
    /// Further properties of librdkafka, such as those of SASL.
    extra: Properties,
}

/// The read database. See [`ScyllaConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scylla {
    /// Where to begin.
    pub(crate) contact_points: List,
    /// The keyspace.
    pub(crate) keyspace: String,
    /// The data centre whose nodes are asked; empty for clusters of one.
    datacenter: String,
    replication_factor: Count<1, 32>,
    consistency: Consistency,
    /// Empty where the servers ask for none.
    pub(super) user: String,
    pub(super) password: Secret,
    request_timeout: Span<10, ANSWER_MAX>,
    connect_timeout: Span<10, ANSWER_MAX>,
    requests_max: Count<1, 65_536>,
}

/// How many copies of a row have to answer. See [`diptych_scylla::Consistency`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Consistency {
    /// Most of the copies in one data centre.
    LocalQuorum,
    /// Most of all copies.
    Quorum,
}

/// The cache in front of it. See [`MemcachedConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memcached {
    /// All of them, in the same words in every process.
    pub(crate) servers: List,
    /// What keys begin with.
    pub(crate) key_prefix: String,
    connections_per_server: Count<1, 64>,
    connect_timeout: Span<1, MINUTE>,
    request_timeout: Span<1, MINUTE>,
    ttl: Span<SECOND, { 30 * DAY }>,
    refresh_puts_absent: Switch,
}

impl Default for Postgres {
    fn default() -> Self {
        let postgres = PostgresConfig::new("");
        Self {
            url: PostgresUrl::local(),
            write_connections_max: Count::near(postgres.write_connections_max),
            read_connections_max: Count::near(postgres.read_connections_max),
            connect_timeout: Span::near(postgres.connect_timeout),
            pool_timeout: Span::near(postgres.pool_timeout),
            answer_timeout: Span::near(postgres.answer_timeout),
            statement_timeout: Span::near(postgres.statement_timeout),
            lock_timeout: Span::near(postgres.lock_timeout),
            notify: Switch(postgres.notify),
            poll_interval: Span::near(postgres.poll_interval),
        }
    }
}

impl Postgres {
    /// What the adapter takes. The name is what the server's activity view shows; request ids are kept for so long.
    pub(crate) fn adapter(&self, application_name: &str, request_ids_kept: Duration) -> PostgresConfig {
        PostgresConfig {
            application_name: application_name.to_owned(),
            write_connections_max: self.write_connections_max.usize(),
            read_connections_max: self.read_connections_max.usize(),
            connect_timeout: self.connect_timeout.duration(),
            pool_timeout: self.pool_timeout.duration(),
            answer_timeout: self.answer_timeout.duration(),
            statement_timeout: self.statement_timeout.duration(),
            lock_timeout: self.lock_timeout.duration(),
            notify: self.notify.0,
            poll_interval: self.poll_interval.duration(),
            request_partition_interval: request_ids_kept / 3,
            ..PostgresConfig::new(self.url.with_password())
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        let kafka = KafkaConfig::new("", "");
        Self {
            bootstrap_servers: List::one("127.0.0.1:9092"),
            topic: "diptych.events".to_owned(),
            replication_factor: Count::near(kafka.replication_factor.into()),
            min_insync_replicas: Count::near(kafka.min_insync_replicas.into()),
            retention: Span::near(kafka.retention),
            session_timeout: Span::near(kafka.session_timeout),
            revoke_wait_max: Span::near(kafka.revoke_wait_max),
            append_wait_max: Span::near(kafka.append_wait_max),
            request_timeout: Span::near(kafka.request_timeout),
            extra: Properties::default(),
        }
    }
}

impl From<&Kafka> for KafkaConfig {
    fn from(kafka: &Kafka) -> Self {
        Self {
            replication_factor: kafka.replication_factor.u16(),
            min_insync_replicas: kafka.min_insync_replicas.u16().min(kafka.replication_factor.u16()),
            retention: kafka.retention.duration(),
            session_timeout: kafka.session_timeout.duration(),
            revoke_wait_max: kafka.revoke_wait_max.duration(),
            append_wait_max: kafka.append_wait_max.duration(),
            request_timeout: kafka.request_timeout.duration(),
            extra: kafka.extra.revealed(),
            ..Self::new(kafka.bootstrap_servers.to_string(), kafka.topic.clone())
        }
    }
}

impl Default for Scylla {
    fn default() -> Self {
        let scylla = ScyllaConfig::new(Vec::new(), "");
        Self {
            contact_points: List::one("127.0.0.1:9042"),
            keyspace: "diptych".to_owned(),
            datacenter: String::new(),
            replication_factor: Count::near(scylla.replication_factor.into()),
            consistency: match scylla.consistency {
                diptych_scylla::Consistency::LocalQuorum => Consistency::LocalQuorum,
                diptych_scylla::Consistency::Quorum => Consistency::Quorum,
            },
            user: String::new(),
            password: Secret::default(),
            request_timeout: Span::near(scylla.request_timeout),
            connect_timeout: Span::near(scylla.connect_timeout),
            requests_max: Count::near(scylla.requests_max),
        }
    }
}

impl From<&Scylla> for ScyllaConfig {
    fn from(scylla: &Scylla) -> Self {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            datacenter: given(&scylla.datacenter),
            replication_factor: scylla.replication_factor.u8(),
            consistency: match scylla.consistency {
                Consistency::LocalQuorum => diptych_scylla::Consistency::LocalQuorum,
                Consistency::Quorum => diptych_scylla::Consistency::Quorum,
            },
            user: given(&scylla.user),
            password: scylla.password.revealed(),
            request_timeout: scylla.request_timeout.duration(),
            connect_timeout: scylla.connect_timeout.duration(),
            requests_max: scylla.requests_max.usize(),
            ..Self::new(scylla.contact_points.to_vec(), scylla.keyspace.clone())
        }
    }
}

impl Default for Memcached {
    fn default() -> Self {
        let memcached = MemcachedConfig::new(Vec::new());
        Self {
            servers: List::one("127.0.0.1:11211"),
            key_prefix: memcached.key_prefix,
            connections_per_server: Count::near(memcached.connections_per_server),
            connect_timeout: Span::near(memcached.connect_timeout),
            request_timeout: Span::near(memcached.request_timeout),
            ttl: Span::near(memcached.ttl),
            refresh_puts_absent: Switch(memcached.refresh_puts_absent),
        }
    }
}

impl From<&Memcached> for MemcachedConfig {
    fn from(memcached: &Memcached) -> Self {
        Self {
            key_prefix: memcached.key_prefix.clone(),
            connections_per_server: memcached.connections_per_server.usize(),
            connect_timeout: memcached.connect_timeout.duration(),
            request_timeout: memcached.request_timeout.duration(),
            ttl: memcached.ttl.duration(),
            refresh_puts_absent: memcached.refresh_puts_absent.0,
            ..Self::new(memcached.servers.to_vec())
        }
    }
}
