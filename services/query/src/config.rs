//! Settings of the query path.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// Settings of the query path: timeouts, limits and polling intervals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryConfig {
    /// Maximum duration of a call without a deadline of its own. Default 2 s.
    pub call_timeout_default: Duration,
    /// Maximum duration of a call, whatever its deadline. Default 30 s.
    pub call_timeout_max: Duration,
    /// Interval between loads of stored progress while the store signals no change. Default 100 ms.
    pub progress_poll_interval: Duration,
    /// The same interval while calls wait for progress that has not been announced through the cache. Default 10 ms,
    /// about as often as projectors save it. A value of at least [`QueryConfig::progress_poll_interval`] means that the
    /// store signals every change, as one in the same process does; announcements are then not polled.
    pub progress_poll_interval_while_waiting: Duration,
    /// Interval between polls of the cache for announced progress while calls wait: the most that a caller waits longer
    /// than necessary. Default 2 ms; a poll is one small request for all waiting calls, and 500 per second are a
    /// negligible load.
    pub announcement_poll_interval: Duration,
    /// Maximum number of calls that wait for progress at a time; further calls are refused. Default 4,096.
    pub pending_waits_max: usize,
    /// Maximum number of reads of the read database in flight; further reads are refused. Default 1,024.
    pub pending_reads_max: usize,
    /// Longest time, by the write database's clock, that a cached row may fall behind its view's progress before it is
    /// read again although no token requires it. A lost cache refresh stays visible for this time and one interval of
    /// watermarks (4 s) at most. Default 20 s.
    pub cached_age_max: Duration,
    /// Timeout of one cache request. Default 50 ms.
    pub cache_timeout: Duration,
    /// Timeout of one attempt to read the read database. Default 1 s.
    pub store_timeout: Duration,
    /// Maximum number of retries of a failed read. Default 2.
    pub store_retries_max: usize,
    /// Seed of the retry jitter. Random by default, so that processes that failed together do not retry together; a
    /// fixed seed makes a test reproducible.
    pub jitter_seed: u64,
}

impl QueryConfig {
    /// Returns whether the store signals every change of progress.
    pub(crate) fn store_signals_progress(&self) -> bool {
        self.progress_poll_interval_while_waiting >= self.progress_poll_interval
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            call_timeout_default: Duration::from_secs(2),
            call_timeout_max: Duration::from_secs(30),
            progress_poll_interval: Duration::from_millis(100),
            progress_poll_interval_while_waiting: Duration::from_millis(10),
            announcement_poll_interval: Duration::from_millis(2),
            pending_waits_max: 4_096,
            pending_reads_max: 1_024,
            cached_age_max: Duration::from_secs(20),
            cache_timeout: Duration::from_millis(50),
            store_timeout: Duration::from_secs(1),
            store_retries_max: 2,
            // Every RandomState has different keys.
            jitter_seed: RandomState::new().build_hasher().finish(),
        }
    }
}
