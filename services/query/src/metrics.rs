//! Metrics of the query path. Handles are created once, so that counting is a single addition; the metrics recorder
//! must be installed before the reader starts.

use diptych_kernel::{Partition, Partitions, Timestamp, domain::ViewId};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// Metric handles of one reader.
pub(crate) struct QueryMetrics {
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) cache_failures: Counter,
    pub(crate) store_failures: Counter,
    pub(crate) progress_failures: Counter,
    pub(crate) waits: Counter,
    pub(crate) wait_seconds: Histogram,
    pub(crate) behind: Counter,
    pub(crate) too_old: Counter,
    pub(crate) parked: Counter,
    pub(crate) overloaded: Counter,
    /// One for each view and partition, ordered by view, then partition.
    progress_age_seconds: Vec<Gauge>,
}

impl QueryMetrics {
    pub(crate) fn new(views: &[ViewId], partitions: Partitions) -> Self {
        describe();
        Self {
            cache_hits: counter!("diptych_query_cache_hits_total"),
            cache_misses: counter!("diptych_query_cache_misses_total"),
            cache_failures: counter!("diptych_query_cache_failures_total"),
            store_failures: counter!("diptych_query_store_failures_total"),
            progress_failures: counter!("diptych_query_progress_failures_total"),
            waits: counter!("diptych_query_waits_total"),
            wait_seconds: histogram!("diptych_query_wait_seconds"),
            behind: counter!("diptych_query_behind_total"),
            too_old: counter!("diptych_query_too_old_total"),
            parked: counter!("diptych_query_parked_total"),
            overloaded: counter!("diptych_query_overloaded_total"),
            progress_age_seconds: views
                .iter()
                .flat_map(|view| partitions.iter().map(move |partition| progress_age(*view, partition)))
                .collect(),
        }
    }

    /// Sets the age of each view's progress in each partition.
    pub(crate) fn set_progress_ages(&self, complete_up_to: impl Iterator<Item = Option<Timestamp>>, now: Timestamp) {
        for (gauge, complete_up_to) in self.progress_age_seconds.iter().zip(complete_up_to) {
            if let Some(complete_up_to) = complete_up_to {
                gauge.set(now.seconds_since(complete_up_to));
            }
        }
    }
}

fn describe() {
    describe_counter!("diptych_query_cache_hits_total", "Rows answered from the cache");
    describe_counter!(
        "diptych_query_cache_misses_total",
        "Rows read from the read database because the cache had none fresh enough"
    );
    describe_counter!("diptych_query_cache_failures_total", "Cache requests that failed or timed out");
    describe_counter!(
        "diptych_query_store_failures_total",
        "Attempts to read the read database that failed or timed out"
    );
    describe_counter!("diptych_query_progress_failures_total", "Loads of progress that failed or timed out");
    describe_counter!("diptych_query_waits_total", "Calls that waited for a view to reach their token");
    describe_histogram!(
        "diptych_query_wait_seconds",
        Unit::Seconds,
        "Time that a call waited for a view to reach its token, in seconds"
    );
    describe_counter!(
        "diptych_query_behind_total",
        "Calls refused because a view did not reach their token before the deadline (G6)"
    );
    describe_counter!(
        "diptych_query_too_old_total",
        "Calls refused because the views were older at the deadline than the call allows"
    );
    describe_counter!("diptych_query_parked_total", "Calls refused because a stream is parked");
    describe_counter!("diptych_query_overloaded_total", "Calls refused because too many were waiting or reading");
    describe_gauge!(
        "diptych_query_view_progress_age_seconds",
        Unit::Seconds,
        "Age of the time up to which a view is complete, in seconds, by view and partition"
    );
}

fn progress_age(view: ViewId, partition: Partition) -> Gauge {
    let labels = [("view", view.to_string()), ("partition", partition.to_string())];
    gauge!("diptych_query_view_progress_age_seconds", &labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_age_is_reported_for_each_view_and_partition() {
        const SEATS: ViewId = ViewId { name: "seats", generation: 1 };
        const PLAYS: ViewId = ViewId { name: "plays", generation: 2 };
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let metrics = QueryMetrics::new(&[SEATS, PLAYS], Partitions::new(2).unwrap());
            let seconds = [1, 2, 3].map(|seconds| Some(Timestamp::from_micros(1_000_000 * seconds)));
            metrics.set_progress_ages(seconds.into_iter().chain([None]), Timestamp::from_micros(10_000_000));
        });
        let text = handle.render();
        for (view, partition, age) in [("seats_g1", 0, 9), ("seats_g1", 1, 8), ("plays_g2", 0, 7), ("plays_g2", 1, 0)] {
            let line = format!("age_seconds{{view=\"{view}\",partition=\"{partition}\"}} {age}\n");
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }
}
