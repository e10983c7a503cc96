//! State machine of the relay: states, transitions and retries. The drawing is in the crate documentation.

mod lease_steps;
mod publish_steps;

use std::{fmt, sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions,
    ports::{EventLog, EventStore, Fence, PortError, RelayCursor, RelayState, Remedy},
};
use diptych_runtime::{Backoff, LogLimiter, Shutdown, pause};
use tokio::time::Instant;

use crate::{
    batch::RelayBatch,
    config::RelayConfig,
    error::RelayError,
    high_watermark::HighWatermark,
    leadership::Leadership,
    lease_owner::{LeaseOwner, TwinDetector},
    lease_renewal::LeaseRenewal,
    metrics::RelayMetrics,
};

/// Delays after wake-ups without a new event, so that a store that wakes the relay needlessly does not cause a busy
/// loop.
const EMPTY_READ_DELAY_MIN: Duration = Duration::from_millis(1);
const EMPTY_READ_DELAY_MAX: Duration = Duration::from_millis(20);

/// Longest time that a relay leads without reaching the log. Then another one may: the fault can be in this process or
/// its network.
const LEAD_WITHOUT_LOG_MAX: Duration = Duration::from_secs(30);

/// Runs a relay until shutdown: leads while it holds the lease, stands by while another relay leads.
///
/// Returns when the batch in flight is finished, the cursor moved and the lease released, at the latest
/// [`RelayConfig::shutdown_wait_max`] after shutdown begins.
///
/// # Errors
/// Errors that only an operator can resolve; see [`RelayError`].
pub async fn run<S: EventStore + RelayState, L: EventLog>(
    store: Arc<S>,
    log: Arc<L>,
    config: RelayConfig,
    shutdown: Shutdown,
) -> Result<(), RelayError> {
    let partitions = store.partitions();
    if partitions != log.partitions() {
        return Err(RelayError::PartitionsDiffer { store: partitions, log: log.partitions() });
    }
    let wait_max = config.shutdown_wait_max;
    let relay = Relay::new(store, log, config, partitions, shutdown.clone());
    let lease_renewal = Arc::clone(&relay.lease_renewal);
    let shutdown_timeout = async {
        shutdown.begun().await;
        pause(wait_max).await;
    };
    tokio::select! {
        biased;
        result = relay.run() => result,
        never = lease_renewal.run() => match never {},
        () = shutdown_timeout => {
            tracing::warn!(wait_max_ms = wait_max.as_millis(), "a store did not respond during shutdown; the lease expires by itself");
            Ok(())
        }
    }
}

/// State of a relay.
enum State {
    /// Another relay leads, or none does yet.
    Standby,
    /// Holds the lease, and determines where to continue.
    Resuming(Resumption),
    /// Reads the next events.
    Reading(Leadership),
    /// Appends a batch to the log.
    Publishing(Leadership, RelayBatch),
    /// Stores the cursor and extends the lease; then publishes the batch, if there is one. In every state of a leader,
    /// [`LeaseRenewal`] extends the lease too when this is late.
    MovingCursor(Leadership, Option<RelayBatch>),
    /// Waits for events, or until a watermark is due.
    Idle(Leadership),
}

/// What a relay knows when it compares the log with its cursor.
struct Resumption {
    fence: Fence,
    /// The cursor as it is stored.
    cursor: RelayCursor,
    /// The position up to which the log has acknowledged records in this leadership. `None` at its start.
    published: Option<HighWatermark>,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standby => "standby",
            Self::Resuming(..) => "resuming",
            Self::Reading(_) => "reading",
            Self::Publishing(..) => "publishing",
            Self::MovingCursor(..) => "moving_cursor",
            Self::Idle(_) => "idle",
        })
    }
}

/// Failure of a step.
enum StepError {
    /// Wait, then continue in this state.
    Retry(Box<State>, PortError),
    /// Stop the relay.
    Fatal(RelayError),
}

impl From<RelayError> for StepError {
    fn from(error: RelayError) -> Self {
        Self::Fatal(error)
    }
}

/// Result of a step: the next state.
type StepResult = Result<State, StepError>;

fn retry_in(state: State, error: PortError) -> StepResult {
    Err(StepError::Retry(Box::new(state), error))
}

struct Relay<S, L> {
    store: Arc<S>,
    log: Arc<L>,
    config: RelayConfig,
    partitions: Partitions,
    owner: LeaseOwner,
    lease_renewal: Arc<LeaseRenewal<S>>,
    twin_detector: TwinDetector,
    shutdown: Shutdown,
    metrics: RelayMetrics,
    retry_backoff: Backoff,
    /// Delays after failed appends.
    publish_backoff: Backoff,
    retry_log: LogLimiter,
    empty_read_backoff: Backoff,
    /// Time of the first failure of the log since it last took records.
    log_failing_since: Option<Instant>,
    /// Number of reads in a row that returned no event and made no watermark due.
    empty_reads: u32,
}

impl<S: EventStore + RelayState, L: EventLog> Relay<S, L> {
    fn new(store: Arc<S>, log: Arc<L>, config: RelayConfig, partitions: Partitions, shutdown: Shutdown) -> Self {
        Self {
            retry_backoff: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            publish_backoff: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            retry_log: LogLimiter::default(),
            empty_read_backoff: Backoff::new(EMPTY_READ_DELAY_MIN, EMPTY_READ_DELAY_MAX),
            log_failing_since: None,
            empty_reads: 0,
            metrics: RelayMetrics::new(partitions),
            owner: LeaseOwner::new(&config.instance),
            lease_renewal: Arc::new(LeaseRenewal::new(Arc::clone(&store), &config)),
            twin_detector: TwinDetector::default(),
            store,
            log,
            config: RelayConfig { read_events_max: config.read_events_max.max(1), ..config },
            partitions,
            shutdown,
        }
    }

    /// Runs the state machine until shutdown or a fatal error.
    async fn run(mut self) -> Result<(), RelayError> {
        let mut state = State::Standby;
        while !self.shutdown.has_begun() {
            let name = state.to_string();
            let is_publishing = matches!(state, State::Publishing(..));
            state = match self.step(state).await {
                Ok(next) => {
                    // Acquiring the lease does not show that the log works, which the next state depends on.
                    if !matches!(next, State::Resuming(..)) {
                        self.retry_backoff.reset();
                    }
                    // Resuming does not show that the log takes records. Otherwise a relay that resumes after every
                    // append would retry without growing delays.
                    if is_publishing {
                        self.publish_backoff.reset();
                    }
                    if is_publishing || matches!(next, State::Standby | State::Idle(_)) {
                        self.retry_log.reset();
                    }
                    next
                }
                Err(StepError::Fatal(error)) => {
                    self.metrics.lease_held.set(0.0);
                    return Err(error);
                }
                Err(StepError::Retry(state, error)) if error.remedy() == Remedy::Retry => {
                    self.metrics.failures.increment(1);
                    let backoff = if is_publishing { &mut self.publish_backoff } else { &mut self.retry_backoff };
                    let delay = backoff.next_delay();
                    if self.retry_log.allow().is_some() {
                        let delay_ms = delay.as_millis();
                        tracing::warn!(state = name, %error, delay_ms, "a relay step failed and is retried");
                    }
                    self.sleep(delay).await;
                    *state
                }
                Err(StepError::Retry(_, error)) => {
                    self.metrics.lease_held.set(0.0);
                    return Err(RelayError::Operator(error));
                }
            };
        }
        self.step_down(state).await;
        Ok(())
    }

    /// Performs the work of a state and returns the next one.
    async fn step(&mut self, state: State) -> StepResult {
        match state {
            State::Standby => self.acquire_lease().await,
            State::Resuming(resumption) => self.resume(resumption).await,
            State::Reading(leadership) => self.read(leadership).await,
            State::Publishing(leadership, batch) => self.publish(leadership, batch).await,
            State::MovingCursor(leadership, batch) => self.move_cursor(leadership, batch).await,
            State::Idle(leadership) => Ok(self.wait_for_events(leadership).await),
        }
    }

    /// Transition after a read.
    fn after_reading(&mut self, mut leadership: Leadership, batch: RelayBatch) -> State {
        if batch.entries.is_empty() {
            leadership.batch_acknowledged(&batch, &self.config);
            self.empty_reads = self.empty_reads.saturating_add(1);
            return self.after_publishing(leadership, batch.has_more);
        }
        self.empty_reads = 0;
        self.empty_read_backoff.reset();
        self.metrics.report_ages(&batch.oldest);
        if leadership.reads_unconfirmed {
            State::MovingCursor(leadership, Some(batch))
        } else {
            State::Publishing(leadership, batch)
        }
    }

    /// Transition after a batch was acknowledged, or the cursor moved without a batch to publish.
    fn after_publishing(&mut self, mut leadership: Leadership, has_more: bool) -> State {
        if leadership.cursor_is_due() {
            return State::MovingCursor(leadership, None);
        }
        if let Some(batch) = leadership.prefetched.take() {
            return self.after_reading(leadership, batch);
        }
        if has_more {
            return State::Reading(leadership);
        }
        // Nothing else that is committed is unpublished.
        self.metrics.report_ages(&leadership.held_back);
        State::Idle(leadership)
    }

    /// Sleeps until the delay is over or shutdown begins.
    async fn sleep(&self, delay: Duration) {
        tokio::select! {
            () = pause(delay) => {}
            () = self.shutdown.begun() => {}
        }
    }
}
