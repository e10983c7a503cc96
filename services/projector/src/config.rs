//! Settings, and the systems around a projector.

use std::{sync::Arc, time::Duration};

/// How a projector works. [`ProjectorConfig::new`] gives settings for a process beside its stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectorConfig {
    /// The consumer group: all projectors that fill the same tables.
    pub group: String,
    /// This member's name: its own, and the same after a restart, so that it gets its partitions back.
    pub member: String,
    /// How many records are taken from the log at once. At least 1.
    pub batch_records_max: usize,
    /// How many rows are kept in memory, over all views and partitions.
    pub hot_rows_max: usize,
    /// How many events are read from the write side at once when something has to be caught up. At least 1.
    pub catch_up_events_max: usize,
    /// How many streams of a partition may be parked in a view. With more the partition halts: then it is not single events that are wrong.
    pub parked_streams_max: usize,
    /// How long until parked streams, and views that stand still, are tried again.
    pub park_retry: Duration,
    /// How long to wait for records at a time; also how soon anything else that is due is noticed.
    pub poll_wait_max: Duration,
    /// How long progress that was told through the cache may wait to be saved; with what comes meanwhile that is one save. Zero saves it with every
    /// batch and tells nothing, which is right where the store of progress signals every save, as one in the same process does.
    pub progress_interval: Duration,
    /// How far committed offsets may lag behind saved progress. They only matter to others: progress is what a restart goes by.
    pub commit_interval: Duration,
    /// The shortest pause before something that failed is tried again.
    pub retry_delay_min: Duration,
    /// The longest pause before something that failed is tried again.
    pub retry_delay_max: Duration,
    /// How long to wait at shutdown for what is in flight.
    pub shutdown_wait_max: Duration,
}

impl ProjectorConfig {
    /// The settings for a member of this name in this group.
    #[must_use]
    pub fn new(group: impl Into<String>, member: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            member: member.into(),
            batch_records_max: 1_000,
            hot_rows_max: 20_000,
            catch_up_events_max: 1_000,
            parked_streams_max: 1_000,
            park_retry: Duration::from_secs(30),
            poll_wait_max: Duration::from_millis(500),
            progress_interval: Duration::from_millis(10),
            commit_interval: Duration::from_millis(100),
            retry_delay_min: Duration::from_millis(10),
            retry_delay_max: Duration::from_secs(1),
            shutdown_wait_max: Duration::from_secs(5),
        }
    }
}

/// The systems around a projector.
pub struct Ports<S, L, V, P, C> {
    /// The write database, for what the log does not have.
    pub events: Arc<S>,
    /// The event log.
    pub log: Arc<L>,
    /// The read database: rows.
    pub views: Arc<V>,
    /// The read database: progress.
    pub progress: Arc<P>,
    /// The cache in front of it.
    pub cache: Arc<C>,
}

impl<S, L, V, P, C> Clone for Ports<S, L, V, P, C> {
    fn clone(&self) -> Self {
        Self {
            events: Arc::clone(&self.events),
            log: Arc::clone(&self.log),
            views: Arc::clone(&self.views),
            progress: Arc::clone(&self.progress),
            cache: Arc::clone(&self.cache),
        }
    }
}
