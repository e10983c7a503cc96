//! Names of the databases, log and cache in spans.

use std::{borrow::Cow, sync::OnceLock};

/// The system behind each port, as named in spans. The services know only ports, so the code that opens the adapters
/// sets it; see [`crate::telemetry::TraceSettings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systems {
    /// The write database: `db.system.name`.
    pub events: &'static str,
    /// The event log: `messaging.system`.
    pub log: &'static str,
    /// The topic on it: `messaging.destination.name`.
    pub topic: Cow<'static, str>,
    /// The read database: `db.system.name`.
    pub views: &'static str,
    /// The cache: `db.system.name`.
    pub cache: &'static str,
}

impl Systems {
    /// The embedded adapters.
    pub const EMBEDDED: Self =
        Self { events: "sqlite", log: "sqlite", topic: Cow::Borrowed("events"), views: "sqlite", cache: "moka" };

    /// The servers, with this topic. ScyllaDB has the name of Cassandra, whose protocol it shares: the semantic
    /// conventions have none for it.
    #[must_use]
    pub fn servers(topic: impl Into<Cow<'static, str>>) -> Self {
        Self { events: "postgresql", log: "kafka", topic: topic.into(), views: "cassandra", cache: "memcached" }
    }
}

static SYSTEMS: OnceLock<Systems> = OnceLock::new();

/// The systems set with the traces, by default the embedded adapters.
#[must_use]
pub fn systems() -> &'static Systems {
    SYSTEMS.get().unwrap_or(&Systems::EMBEDDED)
}

pub(crate) fn set_systems(systems: Systems) {
    // A process has one set of adapters, so the first call wins.
    let _ = SYSTEMS.set(systems);
}
