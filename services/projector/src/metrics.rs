//! What a projector shows of itself.

use std::collections::HashMap;

use diptych_kernel::{Clock, Partition, Timestamp};
use diptych_runtime::SystemClock;
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use parking_lot::Mutex;

/// The numbers of a projector.
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
    /// How long a batch took in each of its steps: the rows, and then the other two at the same time.
    pub(crate) rows_seconds: Histogram,
    pub(crate) cache_seconds: Histogram,
    pub(crate) progress_seconds: Histogram,
    partitions_owned: Gauge,
    parked: HashMap<Partition, Gauge>,
    /// They are also shown while several things are under way.
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

    pub(crate) fn show_owned(&self, count: usize) {
        self.partitions_owned.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }

    /// Shows how old the oldest event of a partition is that is not in the views.
    pub(crate) fn show_age(&self, partition: Partition, oldest: Option<Timestamp>) {
        let mut ages = self.ages.lock();
        let gauge = ages.entry(partition).or_insert_with(|| gauge!(AGE, "partition" => partition.to_string()));
        gauge.set(oldest.map_or(0.0, |oldest| SystemClock.now().seconds_since(oldest)));
    }

    pub(crate) fn show_parked(&mut self, partition: Partition, count: usize) {
        let gauge =
            self.parked.entry(partition).or_insert_with(|| gauge!(PARKED, "partition" => partition.to_string()));
        gauge.set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
    }
}

fn describe() {
    describe_counter!("diptych_projector_events_total", "events taken from the log, repeats too");
    describe_counter!("diptych_projector_rows_written_total", "rows acknowledged by the read database");
    describe_counter!(
        "diptych_projector_events_skipped_total",
        "events that a view passed by because their stream is parked in it"
    );
    describe_counter!("diptych_projector_streams_parked_total", "times that a stream was parked in a view");
    describe_counter!("diptych_projector_log_losses_total", "times that records were missing on the log");
    describe_counter!("diptych_projector_catch_up_events_total", "events read from the write database");
    describe_counter!("diptych_projector_cache_failures_total", "refreshes that the cache did not take");
    describe_counter!(
        "diptych_projector_commits_fenced_total",
        "offset commits refused because a partition is another's"
    );
    describe_counter!("diptych_projector_failures_total", "calls that failed and were repeated, by call");
    describe_histogram!("diptych_projector_batch_records", "records taken from the log at once");
    describe_histogram!(
        STEP,
        Unit::Seconds,
        "how long a batch took to write its rows, to refresh the cache, to save its progress"
    );
    describe_gauge!("diptych_projector_partitions_owned", "partitions that this member owns");
    describe_gauge!(PARKED, "streams that stand still in a view, by partition, counted once per view");
    describe_gauge!(
        AGE,
        Unit::Seconds,
        "age of the oldest event that was read and is not in the views, or of the newest that is where nothing is read, by partition"
    );
}
