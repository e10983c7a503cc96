//! Settings of the relay.

use std::time::Duration;

/// Settings of a relay. [`RelayConfig::new`] gives those for a process on the same machine as its stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Instance name of the process. The owner of a lease is the process: this name with a random number, so that two
    /// processes with one name do not both lead. A process that is restarted after a crash waits for the lease of the
    /// one before to expire.
    pub instance: String,
    /// Duration of the lease, after which another relay takes over if the leader does not extend it. A process, or a
    /// write database, that pauses for longer loses the leadership.
    pub lease_duration: Duration,
    /// Maximum number of events that are read, and appended to the log, at once. At least 1. Twice as many are in
    /// memory.
    pub read_events_max: usize,
    /// Time without an event after which a partition gets a watermark. The intervals of further ones double, up to
    /// [`RelayConfig::watermark_interval_max`].
    pub idle_before_watermark: Duration,
    /// Longest interval between watermarks of an idle partition. The time up to which answers are complete may lag by
    /// it while nothing happens; each watermark adds some 250 bytes to the log.
    pub watermark_interval_max: Duration,
    /// Maximum lag of the stored cursor behind the acknowledged records. Each move is a commit of the write database;
    /// after a crash the ends of the log show what the cursor missed, so this need not be short.
    pub cursor_interval: Duration,
    /// Shortest delay before a retry.
    pub retry_delay_min: Duration,
    /// Longest delay before a retry.
    pub retry_delay_max: Duration,
    /// Maximum time at shutdown to wait for calls in flight.
    pub shutdown_wait_max: Duration,
}

impl RelayConfig {
    /// Creates the default settings for a relay of this name.
    #[must_use]
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            lease_duration: Duration::from_secs(2),
            read_events_max: 1_000,
            idle_before_watermark: Duration::from_secs(1),
            watermark_interval_max: Duration::from_secs(4),
            cursor_interval: Duration::from_millis(50),
            retry_delay_min: Duration::from_millis(10),
            retry_delay_max: Duration::from_secs(1),
            shutdown_wait_max: Duration::from_secs(5),
        }
    }

    /// Returns the interval at which a relay on standby tries to acquire the lease.
    pub(crate) fn standby_interval(&self) -> Duration {
        self.lease_duration / 10
    }

    /// Returns the longest time after which a leader extends its lease.
    pub(crate) fn extend_interval(&self) -> Duration {
        self.lease_duration / 3
    }
}
