//! Servers: preparation (ports, configuration, data folder) and process specification of each.

mod cassandra;
mod file;
mod java;
mod kafka;
mod memcached;
mod postgres;
mod user;

use std::{collections::BTreeMap, fmt};

use crate::{Package, ProcessSpec, Stack, StackResult, Tools, state::StackFolder};

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

/// Inputs for the preparation of a server.
struct ServerSetup<'a> {
    /// Runs one-off processes, such as initdb.
    stack: &'a Stack,
    folder: &'a StackFolder,
    tools: &'a Tools,
    ports: BTreeMap<String, u16>,
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

    /// Names of all its ports.
    fn services(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &["postgres"],
            Self::Kafka => &["kafka", "controller"],
            Self::Cassandra => &["cql", "storage"],
            Self::Memcached => &["memcached"],
        }
    }

    /// Assigns its ports, writes its configuration, and creates its data folder if missing.
    pub(crate) async fn prepare(self, stack: &Stack) -> StackResult<ProcessSpec> {
        let ports = stack.ports(self.name(), self.services())?;
        let setup = ServerSetup { stack, folder: stack.folder(), tools: stack.tools(), ports };
        let spec = match self {
            Self::Postgres => postgres::prepare(&setup).await,
            Self::Kafka => kafka::prepare(&setup).await,
            Self::Cassandra => cassandra::prepare(&setup),
            Self::Memcached => memcached::prepare(&setup),
        }?;
        Ok(spec.ports(setup.ports).stage(0))
    }
}

impl ServerSetup<'_> {
    /// Returns a port assigned to this server, or 0, which is not connectable.
    fn port(&self, service: &str) -> u16 {
        self.ports.get(service).copied().unwrap_or(0)
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
