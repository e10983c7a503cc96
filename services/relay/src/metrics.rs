//! Metrics of the relay.

use std::{future::Future, pin::pin, time::Duration};

use diptych_kernel::{Partition, Partitions, Timestamp};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tokio::time::{Instant, timeout};

const OLDEST_UNPUBLISHED_AGE: &str = "diptych_relay_oldest_unpublished_age_seconds";
const STEP: &str = "diptych_relay_step_seconds";
/// Interval between updates of the age metrics while an append is in flight.
const AGE_METRICS_INTERVAL: Duration = Duration::from_secs(1);

/// Metric handles of a relay.
pub(crate) struct RelayMetrics {
    pub(crate) events: Counter,
    pub(crate) watermarks: Counter,
    pub(crate) batch_events: Histogram,
    /// Durations of the steps of the publishing loop.
    pub(crate) read_seconds: Histogram,
    pub(crate) publish_seconds: Histogram,
    pub(crate) cursor_seconds: Histogram,
    pub(crate) lease_held: Gauge,
    pub(crate) failures: Counter,
    /// One per partition, in order.
    oldest_unpublished_ages: Vec<Gauge>,
}

impl RelayMetrics {
    pub(crate) fn new(partitions: Partitions) -> Self {
        describe_counter!("diptych_relay_events_published_total", "events acknowledged by the log, repeats included");
        describe_counter!("diptych_relay_watermarks_published_total", "watermarks acknowledged by the log");
        describe_histogram!("diptych_relay_batch_events", "events per batch appended to the log");
        describe_histogram!(
            STEP,
            Unit::Seconds,
            "duration of one step, in seconds: reading events, appending them to the log, moving the cursor"
        );
        describe_gauge!("diptych_relay_lease_held", "1 while this relay leads");
        describe_counter!(
            "diptych_relay_failures_total",
            "calls to the write database or the log that failed and were retried"
        );
        describe_gauge!(
            OLDEST_UNPUBLISHED_AGE,
            Unit::Seconds,
            "age of the oldest committed event not yet acknowledged by the log, read or not, in seconds, by partition; \
             0 if none"
        );
        Self {
            events: counter!("diptych_relay_events_published_total"),
            watermarks: counter!("diptych_relay_watermarks_published_total"),
            batch_events: histogram!("diptych_relay_batch_events"),
            read_seconds: histogram!(STEP, "step" => "read"),
            publish_seconds: histogram!(STEP, "step" => "publish"),
            cursor_seconds: histogram!(STEP, "step" => "cursor"),
            lease_held: gauge!("diptych_relay_lease_held"),
            failures: counter!("diptych_relay_failures_total"),
            oldest_unpublished_ages: partitions
                .iter()
                .map(|partition| gauge!(OLDEST_UNPUBLISHED_AGE, "partition" => partition.to_string()))
                .collect(),
        }
    }

    /// Sets the age of the oldest unpublished event of each partition; 0 if there is none.
    pub(crate) fn report_ages(&self, oldest: &OldestUnpublished) {
        for (gauge, oldest) in self.oldest_unpublished_ages.iter().zip(&oldest.0) {
            gauge.set(oldest.as_ref().map_or(0.0, EventAge::seconds));
        }
    }

    /// Sets all ages to 0: everything is published, or another relay publishes.
    pub(crate) fn clear_ages(&self) {
        self.oldest_unpublished_ages.iter().for_each(|gauge| gauge.set(0.0));
    }

    /// Runs an append and updates the ages of its events meanwhile.
    pub(crate) async fn report_ages_during<T>(&self, oldest: &OldestUnpublished, append: impl Future<Output = T>) -> T {
        let mut append = pin!(append);
        loop {
            if let Ok(done) = timeout(AGE_METRICS_INTERVAL, &mut append).await {
                return done;
            }
            self.report_ages(oldest);
        }
    }
}

/// The oldest unpublished event of each partition, in the order of the partitions.
#[derive(Debug)]
pub(crate) struct OldestUnpublished(Vec<Option<EventAge>>);

impl OldestUnpublished {
    pub(crate) fn none(partitions: usize) -> Self {
        Self(vec![None; partitions])
    }

    /// Adds an event. The events of a partition are added in order, so the first one is the oldest.
    pub(crate) fn add(&mut self, partition: Partition, age: EventAge) {
        if let Some(oldest) = self.0.get_mut(partition.index()) {
            oldest.get_or_insert(age);
        }
    }
}

/// Age of an event: measured by the database's clock until the event was read, and by the local clock from then on, so
/// that no two clocks are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventAge {
    /// Time of the commit, by the database's clock.
    pub(crate) recorded_at: Timestamp,
    /// Time of the read, by the database's clock.
    pub(crate) read_at: Timestamp,
    /// The same time by the local clock.
    pub(crate) read_at_local: Instant,
}

impl EventAge {
    fn seconds(&self) -> f64 {
        self.read_at.seconds_since(self.recorded_at) + self.read_at_local.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_of_each_partitions_oldest_event_grows_during_an_append() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let ages = || -> Vec<f64> {
            let text = recorder.handle().render();
            let of = |partition: usize| {
                let name = format!("{OLDEST_UNPUBLISHED_AGE}{{partition=\"{partition}\"}} ");
                text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
            };
            (0..3).map(of).collect()
        };
        let metrics = RelayMetrics::new(Partitions::new(3).unwrap());
        let recorded = |seconds_ago: i64| EventAge {
            recorded_at: Timestamp::from_micros(-1_000_000 * seconds_ago),
            read_at: Timestamp::from_micros(0),
            read_at_local: Instant::now(),
        };
        let mut oldest = OldestUnpublished::none(3);
        oldest.add(Partition::new(0), recorded(7));
        oldest.add(Partition::new(0), recorded(5));
        oldest.add(Partition::new(2), recorded(4));
        metrics.report_ages(&oldest);
        assert_eq!(ages(), [7.0, 0.0, 4.0]);
        let hanging = metrics.report_ages_during(&oldest, std::future::pending::<()>());
        assert!(timeout(Duration::from_millis(2_500), hanging).await.is_err());
        assert_eq!(ages(), [9.0, 0.0, 6.0]);
        metrics.clear_ages();
        assert_eq!(ages(), [0.0, 0.0, 0.0]);
    }
}
