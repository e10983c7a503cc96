//! The configuration: what can be set, and how it is read.
//!
//! Sources in order: defaults, a TOML file, environment variables (`DIPTYCH_`, with `__` between section and setting),
//! and flags; a later source wins. All problems of all sources are reported together, before anything is started.

mod declare;
mod dump;
mod load;
mod origins;
mod problem;
mod rules;
mod sections;
#[cfg(feature = "servers")]
mod servers;
mod sources;
#[cfg(test)]
mod tests;
mod unknown;
mod values;

use std::time::Duration;

pub(crate) use dump::{dump, reference, table};
pub(crate) use load::{LoadedConfig, load};
pub(crate) use origins::variable;
pub(crate) use sources::{Flag, Sources};
pub(crate) use values::{InstanceName, ListenAddress, duration_flag};

#[cfg(feature = "servers")]
use self::servers::{KafkaSection, MemcachedSection, PostgresSection, ScyllaSection};
use self::{
    declare::settings,
    sections::{
        CacheSection, CommandQueueSection, CommandSection, GrpcSection, LogSection, ProjectorSection, QuerySection,
        RelaySection, TelemetrySection,
    },
    values::{Count, DataLocation, TimeSpan},
};

settings! {
    /// All settings of all subcommands. Each subcommand uses those that concern it, so one file serves all.
    pub(crate) struct Config {
        /// Address that gRPC is served at; a host name is resolved, port 0 takes a free port.
        pub(crate) listen: ListenAddress = ListenAddress::local(7_400),
        /// Address that metrics are served at, under /metrics.
        pub(crate) metrics_listen: ListenAddress = ListenAddress::local(7_401),
        /// Name of the process, unique and the same after a restart; auto is host name, role and port.
        pub(crate) instance: InstanceName = InstanceName::default(),
        /// Place where `diptych dev` keeps its data: memory, or a folder.
        pub(crate) data: DataLocation = DataLocation(diptych_embedded::Storage::Memory),
        /// Partitions of a new installation; fixed once it exists.
        pub(crate) partitions: Count<1, 256> = Count::clamped(16),
        /// Threads that run the process's tasks.
        pub(crate) worker_threads: Count<1, 64> = Count::clamped(2),
        /// Time in which calls are still accepted after readiness turned false at shutdown, so that load balancers
        /// notice.
        pub(crate) drain_delay: TimeSpan<0, 600_000> = TimeSpan::clamped(Duration::ZERO),
        /// Longest time for shutdown after drain_delay.
        pub(crate) shutdown_timeout: TimeSpan<100, 600_000> = TimeSpan::clamped(Duration::from_secs(10)),
        /// Logs, on standard error.
        pub(crate) log: LogSection = LogSection::default(),
        /// Export of traces.
        pub(crate) telemetry: TelemetrySection = TelemetrySection::default(),
        /// Limits of the gRPC server.
        pub(crate) grpc: GrpcSection = GrpcSection::default(),
        /// Write path: deciding and committing commands.
        pub(crate) command: CommandSection = CommandSection::default(),
        /// Queue of commands while the write database does not answer.
        pub(crate) command_queue: CommandQueueSection = CommandQueueSection::default(),
        /// Relay: from the write database to the event log.
        pub(crate) relay: RelaySection = RelaySection::default(),
        /// Projector: from the event log to the views.
        pub(crate) projector: ProjectorSection = ProjectorSection::default(),
        /// Query path.
        pub(crate) query: QuerySection = QuerySection::default(),
        /// The cache of `diptych dev`.
        pub(crate) cache: CacheSection = CacheSection::default(),
        #[cfg(feature = "servers")]
        /// The write database (Postgres).
        pub(crate) postgres: PostgresSection = PostgresSection::default(),
        #[cfg(feature = "servers")]
        /// The event log (Kafka).
        pub(crate) kafka: KafkaSection = KafkaSection::default(),
        #[cfg(feature = "servers")]
        /// The read database (ScyllaDB or Cassandra).
        pub(crate) scylla: ScyllaSection = ScyllaSection::default(),
        #[cfg(feature = "servers")]
        /// The cache (Memcached) in front of the read database.
        pub(crate) memcached: MemcachedSection = MemcachedSection::default(),
    }
}
