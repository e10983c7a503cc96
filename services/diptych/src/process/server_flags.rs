//! The flags for the addresses of servers.

use crate::config::Flag;

const SERVERS: &str = "Servers";

/// The flag for Postgres.
#[derive(Debug, clap::Args)]
pub(crate) struct PostgresFlag {
    /// Postgres: postgres://user:password@host:5432/database. Other users of the machine can see flags; give a password
    /// by DIPTYCH_POSTGRES__URL or in a settings file.
    #[arg(long, value_name = "URL", help_heading = SERVERS)]
    postgres: Option<String>,
}

/// The flag for Kafka.
#[derive(Debug, clap::Args)]
pub(crate) struct KafkaFlag {
    /// Kafka: host:port of a broker, several separated by commas.
    #[arg(long, value_name = "SERVERS", help_heading = SERVERS)]
    kafka: Option<String>,
}

/// The flag for ScyllaDB.
#[derive(Debug, clap::Args)]
pub(crate) struct ScyllaFlag {
    /// ScyllaDB: host:port of a node, several separated by commas.
    #[arg(long, value_name = "SERVERS", help_heading = SERVERS)]
    scylla: Option<String>,
}

/// The flag for Memcached.
#[derive(Debug, clap::Args)]
pub(crate) struct MemcachedFlag {
    /// Memcached: host:port of every server, separated by commas.
    #[arg(long, value_name = "SERVERS", help_heading = SERVERS)]
    memcached: Option<String>,
}

impl PostgresFlag {
    /// The setting, where the flag was used.
    pub(crate) fn setting(self) -> Option<Flag> {
        Flag::new("postgres.url", "--postgres", self.postgres)
    }
}

impl KafkaFlag {
    /// The setting, where the flag was used.
    pub(crate) fn setting(self) -> Option<Flag> {
        Flag::new("kafka.bootstrap_servers", "--kafka", self.kafka)
    }
}

impl ScyllaFlag {
    /// The setting, where the flag was used.
    pub(crate) fn setting(self) -> Option<Flag> {
        Flag::new("scylla.contact_points", "--scylla", self.scylla)
    }
}

impl MemcachedFlag {
    /// The setting, where the flag was used.
    pub(crate) fn setting(self) -> Option<Flag> {
        Flag::new("memcached.servers", "--memcached", self.memcached)
    }
}
