//! Installable packages.

/// Receives human-readable lines about the progress.
pub type ProgressReporter<'a> = &'a (dyn Fn(&str) + Sync);

/// An installable package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Package {
    /// Apache Kafka.
    Kafka,
    /// Apache Cassandra, the CQL store under test.
    Cassandra,
    /// Postgres.
    Postgres,
    /// memcached.
    Memcached,
    /// Envoy.
    Envoy,
    /// `cqlsh` and `grpcurl`.
    Clients,
    /// Patroni, the failover manager of Postgres.
    Patroni,
    /// etcd, where Patroni keeps who is primary.
    Etcd,
}

impl Package {
    /// Everything.
    pub const ALL: [Self; 8] = [
        Self::Kafka,
        Self::Cassandra,
        Self::Postgres,
        Self::Memcached,
        Self::Envoy,
        Self::Clients,
        Self::Patroni,
        Self::Etcd,
    ];

    /// Those that only a Postgres with standbys needs.
    pub const OF_STANDBYS: [Self; 2] = [Self::Patroni, Self::Etcd];
}
