//! Adapters for all ports in one process: SQLite for events, log, queue and views, moka for the cache.
//!
//! The semantics are those of the real servers: partitions, positions, acknowledgements, offsets, groups, watermarks
//! and redelivery. [`Storage`] is either a directory, which survives restarts and can be opened by several processes,
//! or memory, where every statement runs inline on the caller's thread, so that tests under paused time are
//! deterministic.

mod backup;
mod cache;
mod database;
mod events;
mod folder;
mod history;
mod log;
mod outage;
mod queue;
mod storage;
mod views;

use std::sync::Arc;

use diptych_kernel::{Clock, Partitions, ports::PortResult, vocabulary::TokenIssuer};

pub use backup::{BackupSummary, back_up};
pub use cache::EmbeddedViewCache;
pub use events::{ClockComparison, EmbeddedEventStore};
pub use folder::{FolderLock, ReadOnlyFolder};
pub use history::{RebaseSummary, rebase};
pub use log::{EmbeddedConsumer, EmbeddedEventLog, GroupTimeouts};
pub use outage::WriteLock;
pub use queue::EmbeddedCommandQueue;
pub use storage::Storage;
pub use views::EmbeddedViewStore;

/// Capacity of the cache that [`Embedded::open`] creates, in bytes.
pub const CACHE_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;

/// Adapters for all ports of one installation.
#[derive(Clone)]
pub struct Embedded {
    /// The write database.
    pub events: Arc<EmbeddedEventStore>,
    /// The event log.
    pub log: Arc<EmbeddedEventLog>,
    /// The queue of commands.
    pub queue: Arc<EmbeddedCommandQueue>,
    /// The read database.
    pub views: Arc<EmbeddedViewStore>,
    /// The cache in front of the read database.
    pub cache: Arc<EmbeddedViewCache>,
    /// The consistency tokens of the history that [`Embedded::open`] began.
    pub tokens: TokenIssuer,
}

impl Embedded {
    /// Opens all databases of a storage, creates them if they do not exist, and begins a new history. All databases
    /// take their time from `clock`. Only one process may do so at a time: see [`FolderLock`].
    ///
    /// # Errors
    /// If the directory cannot be used, or was created with another number of partitions or by a newer version of this
    /// program; if its log or views have events that
    /// its write database does not have.
    pub fn open(storage: &Storage, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        let events = Arc::new(EmbeddedEventStore::open(storage, partitions, Arc::clone(&clock))?);
        let log = Arc::new(EmbeddedEventLog::open(storage, partitions, Arc::clone(&clock))?);
        let queue = Arc::new(EmbeddedCommandQueue::open(storage, partitions)?);
        let views = Arc::new(EmbeddedViewStore::open(storage, partitions, clock)?);
        let tokens = match storage {
            Storage::Memory => history::in_memory(),
            Storage::Directory(folder) => history::begin(folder)?,
        };
        Ok(Self { events, log, queue, views, cache: Arc::new(EmbeddedViewCache::new(CACHE_BYTES_DEFAULT)), tokens })
    }

    /// Gives the space of write-ahead logs back that are longer than usual, in the background: a slow reader, such as a
    /// backup, makes them grow.
    pub fn shrink_logs(&self) {
        self.events.shrink_log();
        self.log.shrink_log();
        self.queue.shrink_log();
        self.views.shrink_log();
    }
}

#[cfg(test)]
mod tests;
