//! Metrics of the write path.

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

/// Interval at which the age of the oldest command is updated while a batch is under way.
const AGE_UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// Registers units and help texts of this crate's metrics. Call it once, after the recorder is installed.
pub fn describe_metrics() {
    describe_histogram!(BATCH_COMMANDS, Unit::Count, "Commands decided and committed together");
    describe_histogram!(
        COMMIT_SECONDS,
        Unit::Seconds,
        "Time from the first attempt of an append to its result, in seconds"
    );
    describe_gauge!(QUEUE_DEPTH, Unit::Count, "Commands left in the queue when the last batch was taken");
    describe_gauge!(
        OLDEST_WAITING_SECONDS,
        Unit::Seconds,
        "Age of the oldest command without a result, in seconds; 0 if there is none"
    );
    describe_gauge!(CACHED_STATES, Unit::Count, "Streams whose state is kept in memory");
    describe_counter!(OUTCOMES, Unit::Count, "Commands by outcome");
    describe_counter!(CONFLICTS, Unit::Count, "Streams on which an append conflicted with a write of another process");
    crate::queueing::describe_metrics();
    describe_counter!(EVENTS_LOADED, Unit::Count, "Events loaded to rebuild or update states");
}

/// The outcome of a command, a label of `diptych_command_outcomes_total`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CommandOutcome {
    Committed,
    Repeated,
    Refused,
    RequestIdReused,
    VersionMismatch,
    Contention,
    Unknown,
    Unavailable,
    Overloaded,
    ShuttingDown,
    Internal,
    CallerGone,
    TooLarge,
    Suspended,
    StreamQueued,
}

impl CommandOutcome {
    /// The labels, in the order of the discriminants.
    const LABELS: [&'static str; 15] = [
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
        "too_large",
        "suspended",
        "stream_queued",
    ];
}

/// The metrics of one sequencer, registered once.
#[derive(Debug)]
pub(crate) struct Metrics {
    batch_commands: Histogram,
    commit_seconds: Histogram,
    queue_depth: Gauge,
    oldest_waiting_seconds: Gauge,
    cached_states: Gauge,
    outcomes: [Counter; CommandOutcome::LABELS.len()],
    conflicts: Counter,
    events_loaded: Counter,
}

impl Metrics {
    /// The metrics of the sequencer with this label.
    pub(crate) fn new(sequencer: &'static str) -> Self {
        Self {
            batch_commands: histogram!(BATCH_COMMANDS, "sequencer" => sequencer),
            commit_seconds: histogram!(COMMIT_SECONDS),
            queue_depth: gauge!(QUEUE_DEPTH, "sequencer" => sequencer),
            oldest_waiting_seconds: gauge!(OLDEST_WAITING_SECONDS, "sequencer" => sequencer),
            cached_states: gauge!(CACHED_STATES, "sequencer" => sequencer),
            outcomes: CommandOutcome::LABELS.map(|outcome| counter!(OUTCOMES, "outcome" => outcome)),
            conflicts: counter!(CONFLICTS),
            events_loaded: counter!(EVENTS_LOADED),
        }
    }

    pub(crate) fn batch_taken(&self, commands: usize, queue_depth: usize, oldest_age: Duration) {
        self.batch_commands.record(as_f64(commands));
        self.queue_depth.set(as_f64(queue_depth));
        self.oldest_waiting_seconds.set(oldest_age.as_secs_f64());
    }

    /// Awaits the work of a batch, and meanwhile updates the age of its oldest command: those in the queue are younger.
    pub(crate) async fn track_age<T>(&self, oldest: Option<Instant>, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = timeout(AGE_UPDATE_INTERVAL, &mut work).await {
                return done;
            }
            let age = oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed());
            self.oldest_waiting_seconds.set(age.as_secs_f64());
        }
    }

    pub(crate) fn batch_finished(&self, cached_states: usize) {
        // The next batch sets its own age.
        self.oldest_waiting_seconds.set(0.0);
        self.cached_states.set(as_f64(cached_states));
    }

    pub(crate) fn append_finished(&self, took: Duration) {
        self.commit_seconds.record(took.as_secs_f64());
    }

    pub(crate) fn record_outcome(&self, outcome: CommandOutcome) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment(1);
        }
    }

    pub(crate) fn record_conflicts(&self, streams: usize) {
        self.conflicts.increment(as_u64(streams));
    }

    pub(crate) fn record_loaded(&self, events: usize) {
        self.events_loaded.increment(as_u64(events));
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

pub(crate) fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_label() {
        let label = |outcome: CommandOutcome| CommandOutcome::LABELS[outcome as usize];
        assert_eq!(label(CommandOutcome::Committed), "committed");
        assert_eq!(label(CommandOutcome::Repeated), "repeated");
        assert_eq!(label(CommandOutcome::Refused), "refused");
        assert_eq!(label(CommandOutcome::RequestIdReused), "request_id_reused");
        assert_eq!(label(CommandOutcome::VersionMismatch), "version_mismatch");
        assert_eq!(label(CommandOutcome::Contention), "contention");
        assert_eq!(label(CommandOutcome::Unknown), "outcome_unknown");
        assert_eq!(label(CommandOutcome::Unavailable), "unavailable");
        assert_eq!(label(CommandOutcome::Overloaded), "overloaded");
        assert_eq!(label(CommandOutcome::ShuttingDown), "shutting_down");
        assert_eq!(label(CommandOutcome::Internal), "internal");
        assert_eq!(label(CommandOutcome::CallerGone), "caller_gone");
        assert_eq!(label(CommandOutcome::TooLarge), "too_large");
        assert_eq!(label(CommandOutcome::Suspended), "suspended");
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_the_oldest_command_grows_while_its_batch_is_stuck() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _recorder = metrics::set_default_local_recorder(&recorder);
        let age = || {
            let text = recorder.handle().render();
            text.lines().find_map(|line| {
                line.strip_prefix("diptych_command_oldest_waiting_seconds{sequencer=\"main\"} ").map(str::to_owned)
            })
        };
        let metrics = Metrics::new("main");
        let oldest = Some(Instant::now());
        let stuck = metrics.track_age(oldest, std::future::pending::<()>());
        assert!(timeout(Duration::from_millis(3_500), stuck).await.is_err());
        assert_eq!(age().as_deref(), Some("3"));
        metrics.track_age(oldest, std::future::ready(())).await;
        metrics.batch_finished(0);
        assert_eq!(age().as_deref(), Some("0"));
    }
}
