//! What a relay shows of itself.

use diptych_kernel::Timestamp;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tokio::time::Instant;

/// The numbers of a relay.
pub(crate) struct RelayMetrics {
    pub(crate) events: Counter,
    pub(crate) watermarks: Counter,
    pub(crate) batch_events: Histogram,
    pub(crate) lease_held: Gauge,
    pub(crate) failures: Counter,
    oldest_unpublished_age: Gauge,
}

impl RelayMetrics {
    pub(crate) fn new() -> Self {
        describe_counter!("diptych_relay_events_published_total", "events acknowledged by the log, repeats too");
        describe_counter!("diptych_relay_watermarks_published_total", "watermarks acknowledged by the log");
        describe_histogram!("diptych_relay_batch_events", "events put on the log at once");
        describe_gauge!("diptych_relay_lease_held", "1 while this relay leads");
        describe_counter!(
            "diptych_relay_failures_total",
            "calls of the write database or the log that failed and were repeated"
        );
        describe_gauge!(
            "diptych_relay_oldest_unpublished_age_seconds",
            "age of the oldest event that was read and is not acknowledged by the log"
        );
        Self {
            events: counter!("diptych_relay_events_published_total"),
            watermarks: counter!("diptych_relay_watermarks_published_total"),
            batch_events: histogram!("diptych_relay_batch_events"),
            lease_held: gauge!("diptych_relay_lease_held"),
            failures: counter!("diptych_relay_failures_total"),
            oldest_unpublished_age: gauge!("diptych_relay_oldest_unpublished_age_seconds"),
        }
    }

    /// Shows how old the oldest unpublished event is, or that there is none.
    pub(crate) fn show_age(&self, oldest: Option<&Oldest>) {
        self.oldest_unpublished_age.set(oldest.map_or(0.0, Oldest::age_seconds));
    }
}

/// The age of an event: by the database's clock up to the moment when it was read, by ours from there, so that no two clocks are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oldest {
    pub(crate) recorded_at: Timestamp,
    pub(crate) read_at: Timestamp,
    pub(crate) read: Instant,
}

impl Oldest {
    fn age_seconds(&self) -> f64 {
        self.read_at.seconds_since(self.recorded_at) + self.read.elapsed().as_secs_f64()
    }
}
