//! The configuration: what can be set, and how it is read.
//!
//! Defaults, then a TOML file, then variables of the environment (`DIPTYCH_`, with `__` between the parts of a key), then flags; the later
//! one wins. Every mistake in all of them is found before anything is started.

mod dump;
mod load;
mod mistake;
mod sections;
mod sources;
#[cfg(test)]
mod tests;
mod unknown;
mod values;

use serde::{Deserialize, Serialize};

pub(crate) use dump::dump;
pub(crate) use load::{Loaded, load};
pub(crate) use sections::{Cache, Command, Grpc, Log, Projector, Query, Relay};
pub(crate) use sources::{Flag, Sources};
pub(crate) use values::{Count, Data, Listen, Size, Span};

/// Everything that can be set. Field names are the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where gRPC is served.
    pub(crate) listen: Listen,
    /// Where metrics are served, at /metrics.
    pub(crate) metrics_listen: Listen,
    /// Where data is kept: "memory", or a folder.
    pub(crate) data: Data,
    /// How many partitions a new installation gets. Fixed from then on.
    pub(crate) partitions: Count<1, 256>,
    /// How many threads run the tasks.
    pub(crate) worker_threads: Count<1, 64>,
    /// How long shutdown may take in all.
    pub(crate) shutdown_timeout: Span<100, 600_000>,
    pub(crate) log: Log,
    pub(crate) grpc: Grpc,
    pub(crate) command: Command,
    pub(crate) relay: Relay,
    pub(crate) projector: Projector,
    pub(crate) query: Query,
    pub(crate) cache: Cache,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen(([127, 0, 0, 1], 7_400).into()),
            metrics_listen: Listen(([127, 0, 0, 1], 7_401).into()),
            data: Data(diptych_embedded::Place::Memory),
            partitions: Count::near(16),
            worker_threads: Count::near(2),
            shutdown_timeout: Span::near(std::time::Duration::from_secs(10)),
            log: Log::default(),
            grpc: Grpc::default(),
            command: Command::default(),
            relay: Relay::default(),
            projector: Projector::default(),
            query: Query::default(),
            cache: Cache::default(),
        }
    }
}
