//! Every port in one process: SQLite for events, log and views, moka for the cache.
//!
//! The semantics are those of the real servers: partitions, positions, acknowledgements, offsets, groups, watermarks and redelivery. A
//! place is a folder, which keeps everything across restarts and may be opened by several processes, or memory, where every statement
//! runs inline on the caller's thread, so that tests under paused time are deterministic.

mod cache;
mod database;
mod events;
mod log;
mod storage;
mod views;

use std::sync::Arc;

use diptych_kernel::{Clock, Partitions, ports::PortResult};

pub use cache::EmbeddedViewCache;
pub use events::EmbeddedEventStore;
pub use log::{EmbeddedConsumer, EmbeddedEventLog, GroupTimeouts};
pub use storage::Storage;
pub use views::EmbeddedViewStore;

/// How many bytes of rows [`Embedded::open`] lets the cache hold.
pub const CACHE_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;

/// All ports of one installation.
#[derive(Clone)]
pub struct Embedded {
    /// The write database.
    pub events: Arc<EmbeddedEventStore>,
    /// The event log.
    pub log: Arc<EmbeddedEventLog>,
    /// The read database.
    pub views: Arc<EmbeddedViewStore>,
    /// The cache in front of it.
    pub cache: Arc<EmbeddedViewCache>,
}

impl Embedded {
    /// Opens a place, and makes it where it does not exist. `clock` is the clock of all of its databases.
    ///
    /// # Errors
    /// When the folder cannot be used, was made with another number of partitions, or by a newer version of this program.
    pub fn open(storage: &Storage, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self {
            events: Arc::new(EmbeddedEventStore::open(storage, partitions, Arc::clone(&clock))?),
            log: Arc::new(EmbeddedEventLog::open(storage, partitions, clock)?),
            views: Arc::new(EmbeddedViewStore::open(storage, partitions)?),
            cache: Arc::new(EmbeddedViewCache::new(CACHE_BYTES_DEFAULT)),
        })
    }
}

#[cfg(test)]
mod tests;
