//! Settings and ports of a projector.

use std::{sync::Arc, time::Duration};

/// Settings of a projector. [`ProjectorConfig::new`] returns defaults for a process close to its stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectorConfig {
    /// The consumer group: all projectors that write to the same tables.
    pub group: String,
    /// This member's name: unique in the group, and the same after a restart, so that it gets its partitions back.
    pub member: String,
    /// The maximum number of records per poll of the log. At least 1.
    pub batch_records_max: usize,
    /// The maximum number of rows kept in memory, over all views and partitions.
    pub hot_rows_max: usize,
    /// The maximum number of events per read from the write database, when views or partitions catch up. At least 1.
    pub catch_up_events_max: usize,
    /// The maximum number of parked streams per partition and view. With more the partition halts, as the cause is not
    /// single events.
    pub parked_streams_max: usize,
    /// The interval after which a parked stream, or the view that it blocks, is retried. It doubles with every failure,
    /// up to 32 times. Streams that were parked before a start are retried at once.
    pub park_retry_interval: Duration,
    /// The longest wait for records per poll. It is also the interval at which a member that is busy keeps its
    /// membership alive.
    pub poll_wait_max: Duration,
    /// The time between announcing progress through the cache and saving it; all progress announced in that time is
    /// saved in one call. Zero saves progress with every batch and announces nothing, for progress stores that signal
    /// every save, such as one in the same process.
    pub progress_interval: Duration,
    /// The interval between offset commits. Committed offsets only inform others: a restart uses the saved progress.
    pub commit_interval: Duration,
    /// The shortest delay before a failed call is repeated.
    pub retry_delay_min: Duration,
    /// The longest delay before a failed call is repeated.
    pub retry_delay_max: Duration,
    /// The longest wait at shutdown for the batch in flight.
    pub shutdown_wait_max: Duration,
}

impl ProjectorConfig {
    /// Default settings for a member with this name in this group.
    #[must_use]
    pub fn new(group: impl Into<String>, member: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            member: member.into(),
            batch_records_max: 1_000,
            hot_rows_max: 20_000,
            catch_up_events_max: 1_000,
            parked_streams_max: 1_000,
            park_retry_interval: Duration::from_secs(30),
            poll_wait_max: Duration::from_millis(500),
            progress_interval: Duration::from_millis(10),
            commit_interval: Duration::from_millis(100),
            retry_delay_min: Duration::from_millis(10),
            retry_delay_max: Duration::from_secs(1),
            shutdown_wait_max: Duration::from_secs(5),
        }
    }
}

/// The ports of a projector.
pub struct Ports<S, L, V, P, C> {
    /// The write database, for events missing in the log.
    pub events: Arc<S>,
    /// The event log.
    pub log: Arc<L>,
    /// The read database: rows.
    pub views: Arc<V>,
    /// The read database: progress.
    pub progress: Arc<P>,
    /// The cache in front of the read database.
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
