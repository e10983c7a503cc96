//! Metrics of a projector.

use std::collections::HashMap;

use diptych_kernel::{Clock, Partition, Timestamp};
use diptych_runtime::SystemClock;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use parking_lot::Mutex;

/// Handles of the projector's metrics.
pub(crate) struct ProjectorMetrics {
    pub(crate) events: Counter,
    pub(crate) rows_written: Counter,
    pub(crate) events_skipped: Counter,
    pub(crate) streams_parked: Counter,
    pub(crate) losses: Counter,
    pub(crate) caught_up: Counter,
    pub(crate) cache_failures: Counter,
    pub(crate) commits_fenced: Counter,
    pub(crate) batch_records: Histogram,
    /// The duration of the steps of a batch: the rows, and then the other two at the same time.
    pub(crate) rows_seconds: Histogram,
    pub(crate) cache_seconds: Histogram,
    pub(crate) progress_seconds: Histogram,
    partitions_owned: Gauge,
    parked: HashMap<Partition, Gauge>,
    /// Behind a lock, as they are also set by concurrent calls of one batch.
    ages: Mutex<HashMap<Partition, Gauge>>,
}

const AGE: &str = "diptych_projector_oldest_unprojected_age_seconds";
const STEP: &str = "diptych_projector_step_seconds";
const PARKED: &str = "diptych_projector_parked_streams";

impl ProjectorMetrics {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            events: counter!("diptych_projector_events_total"),
            rows_written: counter!("diptych_projector_rows_written_total"),
            events_skipped: counter!("diptych_projector_events_skipped_total"),
            streams_parked: counter!("diptych_projector_streams_parked_total"),
            losses: counter!("diptych_projector_log_losses_total"),
            caught_up: counter!("diptych_projector_catch_up_events_total"),
            cache_failures: counter!("diptych_projector_cache_failures_total"),
            commits_fenced: counter!("diptych_projector_commits_fenced_total"),
            batch_records: histogram!("diptych_projector_batch_records"),
            rows_seconds: histogram!(STEP, "step" => "rows"),
            cache_seconds: histogram!(STEP, "step" => "cache"),
            progress_seconds: histogram!(STEP, "step" => "progress"),
            partitions_owned: gauge!("diptych_projector_partitions_owned"),
            parked: HashMap::new(),
            ages: Mutex::default(),
        }
    }

    pub(crate) fn set_owned(&self, count: usize) {
        self.partitions_owned.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// Sets the age of a partition's oldest event that is not in the views; 0 for `None`.
    pub(crate) fn set_age(&self, partition: Partition, oldest: Option<Timestamp>) {
        let mut ages = self.ages.lock();
        let gauge = ages.entry(partition).or_insert_with(|| gauge!(AGE, "partition" => partition.to_string()));
        gauge.set(oldest.map_or(0.0, |oldest| SystemClock.now().seconds_since(oldest)));
    }

    pub(crate) fn set_parked(&mut self, partition: Partition, count: usize) {
        let gauge =
            self.parked.entry(partition).or_insert_with(|| gauge!(PARKED, "partition" => partition.to_string()));
        gauge.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}

fn describe() {
    describe_counter!("diptych_projector_events_total", "events received from the log, including repeats");
    describe_counter!("diptych_projector_rows_written_total", "rows acknowledged by the read database");
    describe_counter!(
        "diptych_projector_events_skipped_total",
        "events that a view skipped because their stream is parked in it"
    );
    describe_counter!("diptych_projector_streams_parked_total", "streams parked, counted once per view");
    describe_counter!("diptych_projector_log_losses_total", "times that records were found missing in the log");
    describe_counter!("diptych_projector_catch_up_events_total", "events read from the write database to catch up");
    describe_counter!("diptych_projector_cache_failures_total", "refreshes and invalidations of the cache that failed");
    describe_counter!(
        "diptych_projector_commits_fenced_total",
        "offset commits fenced because another member owns the partition"
    );
    describe_counter!("diptych_projector_failures_total", "calls that failed and are repeated, by call");
    describe_histogram!("diptych_projector_batch_records", "records per batch received from the log");
    describe_histogram!(
        STEP,
        Unit::Seconds,
        "duration of the steps of a batch: writing rows, refreshing the cache, saving progress"
    );
    describe_gauge!("diptych_projector_partitions_owned", "partitions that this member owns");
    describe_gauge!(PARKED, "parked streams by partition, counted once per view");
    describe_gauge!(
        AGE,
        Unit::Seconds,
        "age of the oldest event received and not in the views; while nothing is read, of the newest in the views"
    );
}
