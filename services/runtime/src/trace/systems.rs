//! What stands behind the ports, by the names that traces use.

use std::{borrow::Cow, sync::OnceLock};

/// What stands behind each port, as spans name it. The stages know ports only, so whoever opens the adapters says it, together with where
/// traces go; see [`crate::telemetry::TraceSettings`].
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

    /// The real servers, with this topic. ScyllaDB goes by the name of the protocol that it shares, the only one that the conventions have for it.
    #[must_use]
    pub fn servers(topic: impl Into<Cow<'static, str>>) -> Self {
        Self { events: "postgresql", log: "kafka", topic: topic.into(), views: "cassandra", cache: "memcached" }
    }
}

static SYSTEMS: OnceLock<Systems> = OnceLock::new();

/// What was said when traces were set up; the embedded adapters where nothing was.
#[must_use]
pub fn systems() -> &'static Systems {
    SYSTEMS.get().unwrap_or(&Systems::EMBEDDED)
}

pub(crate) fn set_systems(systems: Systems) {
    // A process has one set of adapters: the first one stays.
    let _ = SYSTEMS.set(systems);
}
