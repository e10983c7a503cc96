//! What the write path tells about itself. Named once, here.

use std::{future::Future, pin::pin, time::Duration};

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use tokio::time::{Instant, timeout};

const BATCH_COMMANDS: &str = "diptych_command_batch_commands";
const COMMIT_SECONDS: &str = "diptych_command_commit_seconds";
const QUEUE_DEPTH: &str = "diptych_command_queue_depth";
const OLDEST_WAITING_SECONDS: &str = "diptych_command_oldest_waiting_seconds";
const CACHED_STATES: &str = "diptych_command_cached_states";
const OUTCOMES: &str = "diptych_command_outcomes_total";
const CONFLICTS: &str = "diptych_command_conflicts_total";
const EVENTS_LOADED: &str = "diptych_command_events_loaded_total";

/// How often the age of the oldest command is brought up to date while a batch takes its time.
const AGE_INTERVAL: Duration = Duration::from_secs(1);

/// Gives the metrics of this crate their units and help texts. Call it once, after the recorder is installed.
pub fn describe_metrics() {
    describe_histogram!(BATCH_COMMANDS, Unit::Count, "Commands that were decided together");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time from an append's first attempt to its answer");
    describe_gauge!(QUEUE_DEPTH, Unit::Count, "Commands that waited when the newest batch was taken");
    describe_gauge!(
        OLDEST_WAITING_SECONDS,
        Unit::Seconds,
        "Age of the oldest command that has no answer yet, 0 where all have one"
    );
    describe_gauge!(CACHED_STATES, Unit::Count, "Streams whose state is held in memory");
    describe_counter!(OUTCOMES, Unit::Count, "Commands by how they ended");
    describe_counter!(CONFLICTS, Unit::Count, "Streams on which an append lost against another process");
    describe_counter!(EVENTS_LOADED, Unit::Count, "Events that were read to bring states up to date");
}

/// How a command ended, as a label.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Committed,
    Repeated,
    Refused,
    RequestIdReused,
    VersionMismatch,
    Contention,
    OutcomeUnknown,
    Unavailable,
    Overloaded,
    ShuttingDown,
    Internal,
    CallerGone,
}

impl Ending {
    /// All of them, in the order of their discriminants.
    const LABELS: [&'static str; 12] = [
        "committed",
        "repeated",
        "refused",
        "request_id_reused",
        "version_mismatch",
        "contention",
        "outcome_unknown",
        "unavailable",
        "overloaded",
        "shutting_down",
        "internal",
        "caller_gone",
    ];
}

/// The metrics of one sequencer, looked up once.
#[derive(Debug)]
pub(crate) struct Metrics {
    batch_commands: Histogram,
    commit_seconds: Histogram,
    queue_depth: Gauge,
    oldest_waiting_seconds: Gauge,
    cached_states: Gauge,
    outcomes: [Counter; Ending::LABELS.len()],
    conflicts: Counter,
    events_loaded: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            batch_commands: histogram!(BATCH_COMMANDS),
            commit_seconds: histogram!(COMMIT_SECONDS),
            queue_depth: gauge!(QUEUE_DEPTH),
            oldest_waiting_seconds: gauge!(OLDEST_WAITING_SECONDS),
            cached_states: gauge!(CACHED_STATES),
            outcomes: Ending::LABELS.map(|outcome| counter!(OUTCOMES, "outcome" => outcome)),
            conflicts: counter!(CONFLICTS),
            events_loaded: counter!(EVENTS_LOADED),
        }
    }

    pub(crate) fn batch_taken(&self, commands: usize, still_waiting: usize, oldest_waited: Duration) {
        self.batch_commands.record(as_f64(commands));
        self.queue_depth.set(as_f64(still_waiting));
        self.oldest_waiting_seconds.set(oldest_waited.as_secs_f64());
    }

    /// Does the work of a batch, and shows meanwhile how old its oldest command is: those in the queue are younger.
    pub(crate) async fn while_open<T>(&self, oldest: Option<Instant>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = timeout(AGE_INTERVAL, &mut work).await {
                return done;
            }
            let age = oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed());
            self.oldest_waiting_seconds.set(age.as_secs_f64());
        }
    }

    pub(crate) fn batch_over(&self, cached_states: usize) {
        // What came meanwhile is taken now, and says its own age.
        self.oldest_waiting_seconds.set(0.0);
        self.cached_states.set(as_f64(cached_states));
    }

    pub(crate) fn append_answered(&self, took: Duration) {
        self.commit_seconds.record(took.as_secs_f64());
    }

    pub(crate) fn ended(&self, ending: Ending) {
        if let Some(outcome) = self.outcomes.get(ending as usize) {
            outcome.increment(1);
        }
    }

    pub(crate) fn conflicted(&self, streams: usize) {
        self.conflicts.increment(as_u64(streams));
    }

    pub(crate) fn loaded(&self, events: usize) {
        self.events_loaded.increment(as_u64(events));
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_its_label() {
        let label = |ending: Ending| Ending::LABELS[ending as usize];
        assert_eq!(label(Ending::Committed), "committed");
        assert_eq!(label(Ending::Repeated), "repeated");
        assert_eq!(label(Ending::Refused), "refused");
        assert_eq!(label(Ending::RequestIdReused), "request_id_reused");
        assert_eq!(label(Ending::VersionMismatch), "version_mismatch");
        assert_eq!(label(Ending::Contention), "contention");
        assert_eq!(label(Ending::OutcomeUnknown), "outcome_unknown");
        assert_eq!(label(Ending::Unavailable), "unavailable");
        assert_eq!(label(Ending::Overloaded), "overloaded");
        assert_eq!(label(Ending::ShuttingDown), "shutting_down");
        assert_eq!(label(Ending::Internal), "internal");
        assert_eq!(label(Ending::CallerGone), "caller_gone");
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_command_gets_older_while_its_batch_is_stuck() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let age = || {
            let text = recorder.handle().render();
            text.lines()
                .find_map(|line| line.strip_prefix("diptych_command_oldest_waiting_seconds ").map(str::to_owned))
        };
        let metrics = Metrics::new();
        let oldest = Some(Instant::now());
        let stuck = metrics.while_open(oldest, std::future::pending::<()>());
        assert!(timeout(Duration::from_millis(3_500), stuck).await.is_err());
        assert_eq!(age().as_deref(), Some("3"));
        metrics.while_open(oldest, std::future::ready(())).await;
        metrics.batch_over(0);
        assert_eq!(age().as_deref(), Some("0"));
    }
}
