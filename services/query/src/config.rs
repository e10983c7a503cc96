//! What can be set.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// The bounds of the query path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryConfig {
    /// How long a call may take that brings no deadline of its own. Default 2 s.
    pub wait_default: Duration,
    /// How long a call may take whatever deadline it brings. Default 30 s.
    pub wait_max: Duration,
    /// How long progress is not looked at where no signal comes. Default 100 ms.
    pub progress_wait_max: Duration,
    /// The same while a call waits for progress and the cache has no news of it. Default 10 ms, about as often as projectors save it. As long as
    /// [`QueryConfig::progress_wait_max`] it says that the store signals every change, as one in the same process does: then nobody looks for news.
    pub progress_wait_max_while_calls_wait: Duration,
    /// How long the cache is not looked at for news of progress while a call waits: a caller waits up to that much longer than he need. Default 2 ms; a
    /// look is one small call for all who wait, and 500 of them in a second are not noticed.
    pub announcement_poll_interval: Duration,
    /// How many calls may wait for progress at a time. More are refused. Default 4,096.
    pub pending_waits_max: usize,
    /// How many reads of the read database may be under way at a time. More are refused. Default 1,024.
    pub pending_reads_max: usize,
    /// How far, in the write database's time, a cached row may stay behind its view's progress before it is read again although nobody asked
    /// for it by token. Bounds how long a lost refresh shows. Default 30 s.
    pub cached_age_max: Duration,
    /// How long the cache may take for one answer; later it counts as a failure. Default 50 ms.
    pub cache_timeout: Duration,
    /// How long one try at the read database may take. Default 1 s.
    pub store_timeout: Duration,
    /// How often a read that failed is tried again. Default 2.
    pub store_retries_max: usize,
    /// Where the jitter of retries begins. By default another one in each process, so that processes that failed together do not come back
    /// together; with a fixed one a test repeats itself.
    pub jitter_seed: u64,
}

impl QueryConfig {
    /// Whether the store signals every change of progress.
    pub(crate) fn store_signals_progress(&self) -> bool {
        self.progress_wait_max_while_calls_wait >= self.progress_wait_max
    }
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            wait_default: Duration::from_secs(2),
            wait_max: Duration::from_secs(30),
            progress_wait_max: Duration::from_millis(100),
            progress_wait_max_while_calls_wait: Duration::from_millis(10),
            announcement_poll_interval: Duration::from_millis(2),
            pending_waits_max: 4_096,
            pending_reads_max: 1_024,
            cached_age_max: Duration::from_secs(30),
            cache_timeout: Duration::from_millis(50),
            store_timeout: Duration::from_secs(1),
            store_retries_max: 2,
            // Every RandomState has other keys.
            jitter_seed: RandomState::new().build_hasher().finish(),
        }
    }
}
