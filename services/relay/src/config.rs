//! Settings.

use std::time::Duration;

/// How a relay works. [`RelayConfig::new`] gives settings for a process beside its stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// The relay's name in the lease: its own, and the same after a restart, so that it need not wait for the end of its own lease.
    pub owner: String,
    /// How long the lead lasts without a sign of life. Longer than any pause of the process; another relay takes over after that.
    pub lease: Duration,
    /// How many events are read, and put on the log, at once. At least 1. Twice as many are in memory.
    pub read_events_max: usize,
    /// After how long without an event a partition gets a watermark, and how long until the next.
    pub idle_before_watermark: Duration,
    /// How long the cursor may lag behind what was acknowledged. Each move is a commit of the write database; what a crash leaves unmoved is
    /// found again by the ends of the log, so this need not be short.
    pub cursor_interval: Duration,
    /// The shortest pause before something that failed is tried again.
    pub retry_delay_min: Duration,
    /// The longest pause before something that failed is tried again.
    pub retry_delay_max: Duration,
    /// How long to wait at shutdown for what is in flight.
    pub shutdown_wait_max: Duration,
}

impl RelayConfig {
    /// The settings for a relay of this name.
    #[must_use]
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            lease: Duration::from_secs(10),
            read_events_max: 1_000,
            idle_before_watermark: Duration::from_secs(1),
            cursor_interval: Duration::from_millis(50),
            retry_delay_min: Duration::from_millis(10),
            retry_delay_max: Duration::from_secs(1),
            shutdown_wait_max: Duration::from_secs(5),
        }
    }

    /// How long a relay that does not lead waits before it asks again.
    pub(crate) fn standby_interval(&self) -> Duration {
        self.lease / 5
    }

    /// How long a leader waits at most before it extends its lease.
    pub(crate) fn extend_interval(&self) -> Duration {
        self.lease / 3
    }
}
