//! The servers of a stack.

use std::fmt;

use crate::install::Package;

/// A server of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The write database.
    Postgres,
    /// The event log: one broker that is its own controller.
    Kafka,
    /// Apache Cassandra in the place of ScyllaDB, which no package registry carries. It serves the same CQL.
    Cassandra,
    /// The cache.
    Memcached,
}

impl Server {
    /// Every server.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Kafka, Self::Cassandra, Self::Memcached];

    /// Returns the name of its process.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
            Self::Memcached => "memcached",
        }
    }

    /// Returns the package that it needs.
    #[must_use]
    pub fn package(self) -> Package {
        match self {
            Self::Postgres => Package::Postgres,
            Self::Kafka => Package::Kafka,
            Self::Cassandra => Package::Cassandra,
            Self::Memcached => Package::Memcached,
        }
    }

    /// Returns the name of the port for its clients.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::Cassandra => "cql",
            _ => self.name(),
        }
    }

    /// Returns the name of the port for pods.
    pub(crate) fn pod_service(self) -> &'static str {
        match self {
            // A broker tells its clients an address, which is another one for pods.
            Self::Kafka => "kafka-pods",
            _ => self.service(),
        }
    }

    /// Names of all its ports.
    pub(crate) fn services(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres"],
            Self::Kafka => &["kafka", "controller", "kafka-pods"],
            Self::Cassandra => &["cql", "storage"],
            Self::Memcached => &["memcached"],
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl AsRef<str> for Server {
    fn as_ref(&self) -> &str {
        self.name()
    }
}
