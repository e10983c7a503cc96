//! What a relay shows of itself.

use std::{future::Future, pin::pin, time::Duration};

use diptych_kernel::{Partition, Partitions, Timestamp};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tokio::time::{Instant, timeout};

const OLDEST_UNPUBLISHED_AGE: &str = "diptych_relay_oldest_unpublished_age_seconds";
const STEP: &str = "diptych_relay_step_seconds";
/// How often ages are brought up to date while the log takes its time.
const AGE_INTERVAL: Duration = Duration::from_secs(1);

/// The numbers of a relay.
pub(crate) struct RelayMetrics {
    pub(crate) events: Counter,
    pub(crate) watermarks: Counter,
    pub(crate) batch_events: Histogram,
    /// How long each step of the loop takes.
    pub(crate) read_seconds: Histogram,
    pub(crate) publish_seconds: Histogram,
    pub(crate) cursor_seconds: Histogram,
    pub(crate) lease_held: Gauge,
    pub(crate) failures: Counter,
    /// In the order of the partitions.
    oldest_unpublished_ages: Vec<Gauge>,
}

impl RelayMetrics {
    pub(crate) fn new(partitions: Partitions) -> Self {
        describe_counter!("diptych_relay_events_published_total", "events acknowledged by the log, repeats too");
        describe_counter!("diptych_relay_watermarks_published_total", "watermarks acknowledged by the log");
        describe_histogram!("diptych_relay_batch_events", "events put on the log at once");
        describe_histogram!(
            STEP,
            Unit::Seconds,
            "how long it took to read events, to put them on the log, to move the cursor"
        );
        describe_gauge!("diptych_relay_lease_held", "1 while this relay leads");
        describe_counter!(
            "diptych_relay_failures_total",
            "calls of the write database or the log that failed and were repeated"
        );
        describe_gauge!(
            OLDEST_UNPUBLISHED_AGE,
            Unit::Seconds,
            "age of the oldest event that was read and is not acknowledged by the log, by partition"
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

    /// Shows how old the oldest unpublished event of each partition is, or that there is none.
    pub(crate) fn show_ages(&self, oldest: &OldestUnpublished) {
        for (gauge, oldest) in self.oldest_unpublished_ages.iter().zip(&oldest.0) {
            gauge.set(oldest.as_ref().map_or(0.0, Oldest::age_seconds));
        }
    }

    /// Shows that all is published, or that another relay publishes.
    pub(crate) fn show_no_ages(&self) {
        self.oldest_unpublished_ages.iter().for_each(|gauge| gauge.set(0.0));
    }

    /// Publishes, and shows meanwhile how old what is being published gets.
    pub(crate) async fn while_unpublished<T>(&self, oldest: &OldestUnpublished, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = timeout(AGE_INTERVAL, &mut work).await {
                return done;
            }
            self.show_ages(oldest);
        }
    }
}

/// The oldest event of each partition among some that are not published, in the order of the partitions.
#[derive(Debug)]
pub(crate) struct OldestUnpublished(Vec<Option<Oldest>>);

impl OldestUnpublished {
    pub(crate) fn none(partitions: usize) -> Self {
        Self(vec![None; partitions])
    }

    /// The events of a partition come in order, so the first one stays.
    pub(crate) fn add(&mut self, partition: Partition, oldest: Oldest) {
        if let Some(place) = self.0.get_mut(partition.index()) {
            place.get_or_insert(oldest);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_partition_shows_its_oldest_event_and_gets_older_while_the_log_is_away() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let ages = || -> Vec<f64> {
            let text = recorder.handle().render();
            let of = |partition: usize| {
                let name = format!("{OLDEST_UNPUBLISHED_AGE}{{partition=\"{partition}\"}} ");
                text.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse().unwrap()
            };
            (0..3).map(of).collect()
        };
        let metrics = RelayMetrics::new(Partitions::new(3).unwrap());
        let recorded = |seconds_ago: i64| Oldest {
            recorded_at: Timestamp::from_micros(-1_000_000 * seconds_ago),
            read_at: Timestamp::from_micros(0),
            read: Instant::now(),
        };
        let mut oldest = OldestUnpublished::none(3);
        oldest.add(Partition::new(0), recorded(7));
        oldest.add(Partition::new(0), recorded(5));
        oldest.add(Partition::new(2), recorded(4));
        metrics.show_ages(&oldest);
        assert_eq!(ages(), [7.0, 0.0, 4.0]);
        let stuck = metrics.while_unpublished(&oldest, std::future::pending::<()>());
        assert!(timeout(Duration::from_millis(2_500), stuck).await.is_err());
        assert_eq!(ages(), [9.0, 0.0, 6.0]);
        metrics.show_no_ages();
        assert_eq!(ages(), [0.0, 0.0, 0.0]);
    }
}
