//! The configuration: what can be set, and how it is read.
//!
//! Defaults, then a TOML file, then variables of the environment (`DIPTYCH_`, with `__` between the parts of a key), then flags; the later
//! one wins. Every mistake in all of them is found before anything is started.

mod dump;
mod load;
mod mistake;
mod sections;
mod servers;
mod sources;
#[cfg(test)]
mod tests;
mod together;
mod unknown;
mod values;

use serde::{Deserialize, Serialize};

pub(crate) use dump::dump;
pub(crate) use load::{Loaded, load};
pub(crate) use sections::{Cache, Command, Grpc, Log, Projector, Query, Relay, Telemetry};
pub(crate) use servers::{Kafka, Memcached, Postgres, Scylla};
pub(crate) use sources::{Flag, Sources};
pub(crate) use values::{
    Count, Data, Instance, List, Listen, PostgresUrl, Properties, Secret, Share, Size, Span, Switch,
};

/// Everything that can be set, for all subcommands: each uses what concerns it, so that one file does for all. Field names are the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where gRPC is served.
    pub(crate) listen: Listen,
    /// Where metrics are served, at /metrics.
    pub(crate) metrics_listen: Listen,
    /// The name of the process: its own, and the same after a restart.
    pub(crate) instance: Instance,
    /// Where `dev` keeps its data: "memory", or a folder.
    pub(crate) data: Data,
    /// How many partitions a new installation gets. Fixed from then on.
    pub(crate) partitions: Count<1, 256>,
    /// How many threads run the tasks.
    pub(crate) worker_threads: Count<1, 64>,
    /// How long calls are still taken after readiness has said no, so that who sends them notices first.
    pub(crate) drain_delay: Span<0, 600_000>,
    /// How long shutdown may take after that.
    pub(crate) shutdown_timeout: Span<100, 600_000>,
    pub(crate) log: Log,
    pub(crate) telemetry: Telemetry,
    pub(crate) grpc: Grpc,
    pub(crate) command: Command,
    pub(crate) relay: Relay,
    pub(crate) projector: Projector,
    pub(crate) query: Query,
    pub(crate) cache: Cache,
    pub(crate) postgres: Postgres,
    pub(crate) kafka: Kafka,
    pub(crate) scylla: Scylla,
    pub(crate) memcached: Memcached,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen(([127, 0, 0, 1], 7_400).into()),
            metrics_listen: Listen(([127, 0, 0, 1], 7_401).into()),
            instance: Instance::default(),
            data: Data(diptych_embedded::Storage::Memory),
            partitions: Count::near(16),
            worker_threads: Count::near(2),
            drain_delay: Span::near(std::time::Duration::ZERO),
            shutdown_timeout: Span::near(std::time::Duration::from_secs(10)),
            log: Log::default(),
            telemetry: Telemetry::default(),
            grpc: Grpc::default(),
            command: Command::default(),
            relay: Relay::default(),
            projector: Projector::default(),
            query: Query::default(),
            cache: Cache::default(),
            postgres: Postgres::default(),
            kafka: Kafka::default(),
            scylla: Scylla::default(),
            memcached: Memcached::default(),
        }
    }
}
