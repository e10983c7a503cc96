//! The states and the ways between them.

use std::{fmt, sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions,
    ports::{
        CursorOutcome, EventLog, EventPage, EventStore, Fence, LeaseOutcome, PortError, PortResult, RelayCursor,
        RelayState, Remedy,
    },
};
use diptych_runtime::{Backoff, LogLimiter, Shutdown, pause};
use tokio::time::Instant;

use crate::{
    RelayConfig, RelayError,
    metrics::{Oldest, OldestUnpublished, RelayMetrics},
    publish::{Batch, Lead},
    resume::{compare, find_unknown_end},
};

/// Pauses after waking up for nothing, so that a store that wakes without reason does not make this loop spin.
const NOTHING_DELAY_MIN: Duration = Duration::from_millis(1);
const NOTHING_DELAY_MAX: Duration = Duration::from_millis(20);

/// Runs a relay until shutdown: leads when it can, stands by while another one leads.
///
/// Returns when the batch in flight is finished, the cursor moved and the lease given back, at the latest
/// [`RelayConfig::shutdown_wait_max`] after shutdown begins.
///
/// # Errors
/// What only a person can mend; see [`RelayError`].
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
    tokio::select! {
        biased;
        result = relay.run() => result,
        () = after(&shutdown, wait_max) => {
            tracing::warn!(?wait_max, "the relay's stores did not answer during shutdown; the lease ends by itself");
            Ok(())
        }
    }
}

async fn after(shutdown: &Shutdown, wait_max: Duration) {
    shutdown.begun().await;
    pause(wait_max).await;
}

/// What the relay is doing. See the picture at the top of the crate.
enum State {
    /// Another relay leads, or nobody does yet.
    Standby,
    /// Leads, and finds out where the work stands.
    Resuming(Fence, RelayCursor),
    /// Reads the next events.
    Reading(Lead),
    /// Puts a batch on the log.
    Publishing(Lead, Batch),
    /// Stores how far the log has acknowledged, and extends the lease; then goes on with the batch, if there is one.
    MovingCursor(Lead, Option<Batch>),
    /// Waits for events, or for the time of a watermark.
    Idle(Lead),
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

/// Why a step did not get to the next state.
enum Setback {
    /// Pause, then go on in this state.
    Again(Box<State>, PortError),
    /// Stop.
    Fatal(RelayError),
}

impl From<RelayError> for Setback {
    fn from(error: RelayError) -> Self {
        Self::Fatal(error)
    }
}

type Step = Result<State, Setback>;

fn again(state: State, error: PortError) -> Step {
    Err(Setback::Again(Box::new(state), error))
}

struct Relay<S, L> {
    store: Arc<S>,
    log: Arc<L>,
    config: RelayConfig,
    partitions: Partitions,
    shutdown: Shutdown,
    metrics: RelayMetrics,
    failures: Backoff,
    failures_logged: LogLimiter,
    nothing: Backoff,
    /// How often in a row an idle relay was woken up for nothing.
    nothing_count: u32,
}

impl<S: EventStore + RelayState, L: EventLog> Relay<S, L> {
    fn new(store: Arc<S>, log: Arc<L>, config: RelayConfig, partitions: Partitions, shutdown: Shutdown) -> Self {
        Self {
            failures: Backoff::new(config.retry_delay_min, config.retry_delay_max),
            failures_logged: LogLimiter::default(),
            nothing: Backoff::new(NOTHING_DELAY_MIN, NOTHING_DELAY_MAX),
            nothing_count: 0,
            metrics: RelayMetrics::new(partitions),
            store,
            log,
            config: RelayConfig { read_events_max: config.read_events_max.max(1), ..config },
            partitions,
            shutdown,
        }
    }

    async fn run(mut self) -> Result<(), RelayError> {
        let mut state = State::Standby;
        while !self.shutdown.has_begun() {
            let name = state.to_string();
            state = match self.step(state).await {
                Ok(next) => {
                    // Having the lease says nothing about the log, on which the next state depends.
                    if !matches!(next, State::Resuming(..)) {
                        self.failures.reset();
                        self.failures_logged.reset();
                    }
                    next
                }
                Err(Setback::Fatal(error)) => {
                    self.metrics.lease_held.set(0.0);
                    return Err(error);
                }
                Err(Setback::Again(state, error)) if error.remedy() == Remedy::Retry => {
                    self.metrics.failures.increment(1);
                    let delay = self.failures.next_delay();
                    if self.failures_logged.allow().is_some() {
                        tracing::warn!(state = name, %error, ?delay, "the relay tries again");
                    }
                    self.rest(delay).await;
                    *state
                }
                Err(Setback::Again(_, error)) => {
                    self.metrics.lease_held.set(0.0);
                    return Err(RelayError::Operator(error));
                }
            };
        }
        self.resign(state).await;
        Ok(())
    }

    async fn step(&mut self, state: State) -> Step {
        match state {
            State::Standby => self.stand_by().await,
            State::Resuming(fence, cursor) => self.resume(fence, cursor).await,
            State::Reading(lead) => self.read(lead).await,
            State::Publishing(lead, batch) => self.publish(lead, batch).await,
            State::MovingCursor(lead, batch) => self.move_cursor(lead, batch).await,
            State::Idle(lead) => Ok(self.idle(lead).await),
        }
    }

    async fn stand_by(&self) -> Step {
        self.metrics.lease_held.set(0.0);
        match self.store.acquire_lease(&self.config.owner, self.config.lease).await {
            Ok(LeaseOutcome::Held { fence, cursor }) => {
                tracing::info!(fence = fence.0, published_up_to = %cursor.published_up_to, "this relay leads");
                self.metrics.lease_held.set(1.0);
                Ok(State::Resuming(fence, cursor))
            }
            Ok(LeaseOutcome::HeldByOther { owner, .. }) => {
                tracing::debug!(owner, "another relay leads");
                self.metrics.show_no_ages();
                self.rest(self.config.standby_interval()).await;
                Ok(State::Standby)
            }
            Err(error) => again(State::Standby, error),
        }
    }

    /// The lease is not extended here; where it ends meanwhile, the first move of the cursor says so.
    async fn resume(&self, fence: Fence, cursor: RelayCursor) -> Step {
        let ends = match self.log.ends().await {
            Ok(ends) => ends,
            Err(error) => {
                self.show_waiting(&cursor).await;
                return self.start_over(error);
            }
        };
        match find_unknown_end(&*self.store, self.partitions, &ends).await {
            Ok(None) => {}
            Ok(Some((partition, position))) => {
                return Err(RelayError::DatabaseWentBack { partition, position }.into());
            }
            Err(error) => return self.start_over(error),
        }
        let start = compare(self.partitions, &cursor, &ends);
        if !start.lost.is_empty() {
            let partitions: Vec<u16> = start.lost.iter().map(|partition| partition.number()).collect();
            tracing::warn!(?partitions, from = %start.read_up_to, "the log has lost its end; publishing it again");
        }
        Ok(State::Reading(Lead::new(fence, cursor, start, &self.config)))
    }

    /// Shows how old what waits for the log is, where the log cannot even be asked how far it is.
    async fn show_waiting(&self, cursor: &RelayCursor) {
        // A metric is no reason to fail, nor to try again.
        let Ok(tail) = self.store.read_after(cursor.published_up_to, 1).await else { return };
        let mut oldest = OldestUnpublished::none(cursor.last_positions.len());
        if let Some(event) = tail.events.first() {
            let (recorded_at, read_at) = (event.recorded_at, tail.read_at);
            oldest.add(event.partition, Oldest { recorded_at, read_at, read: Instant::now() });
        }
        self.metrics.show_ages(&oldest);
    }

    /// Goes back to asking for the lease, so that it does not end while the log cannot be reached.
    fn start_over(&self, error: PortError) -> Step {
        again(State::Standby, error)
    }

    async fn read(&mut self, mut lead: Lead) -> Step {
        match self.read_after(&lead).await {
            Ok(tail) => {
                let batch = lead.take(tail, self.config.read_events_max);
                Ok(self.with_batch(lead, batch))
            }
            Err(error) => {
                lead.in_doubt = true;
                let state = if lead.cursor_is_due() { State::MovingCursor(lead, None) } else { State::Reading(lead) };
                again(state, error)
            }
        }
    }

    /// What comes after that which was read.
    async fn read_after(&self, lead: &Lead) -> PortResult<EventPage> {
        let began_at = Instant::now();
        let tail = self.store.read_after(lead.read.up_to, self.config.read_events_max).await?;
        self.metrics.read_seconds.record(began_at.elapsed());
        Ok(tail)
    }

    /// Puts a batch on the log.
    async fn append(&self, batch: &Batch) -> PortResult<()> {
        let began_at = Instant::now();
        self.metrics.while_unpublished(&batch.oldest, self.log.append(&batch.entries)).await?;
        self.metrics.publish_seconds.record(began_at.elapsed());
        Ok(())
    }

    fn with_batch(&mut self, mut lead: Lead, batch: Batch) -> State {
        if batch.entries.is_empty() {
            lead.acknowledged(&batch, &self.config);
            self.nothing_count = self.nothing_count.saturating_add(1);
            return self.after_publishing(lead, batch.more);
        }
        self.nothing_count = 0;
        self.nothing.reset();
        self.metrics.show_ages(&batch.oldest);
        if lead.in_doubt { State::MovingCursor(lead, Some(batch)) } else { State::Publishing(lead, batch) }
    }

    /// Puts a batch on the log; where more is known to be there, reads it meanwhile.
    async fn publish(&mut self, mut lead: Lead, mut batch: Batch) -> Step {
        batch.begin_spans();
        let appended = if batch.more && lead.ahead.is_none() {
            let (appended, tail) = futures::join!(self.append(&batch), self.read_after(&lead));
            match tail {
                Ok(tail) => lead.ahead = Some(lead.take(tail, self.config.read_events_max)),
                // It is read again in its turn, and the failure counted there.
                Err(error) => {
                    tracing::debug!(%error, "could not read ahead");
                    lead.in_doubt = true;
                }
            }
            appended
        } else {
            self.append(&batch).await
        };
        if let Err(error) = appended {
            self.metrics.show_ages(&batch.oldest);
            let due = lead.cursor_is_due();
            return again(
                if due { State::MovingCursor(lead, Some(batch)) } else { State::Publishing(lead, batch) },
                error,
            );
        }
        lead.acknowledged(&batch, &self.config);
        self.count(&batch);
        Ok(self.after_publishing(lead, batch.more))
    }

    fn count(&self, batch: &Batch) {
        let watermarks = batch.entries.len() - batch.events;
        self.metrics.events.increment(u64::try_from(batch.events).unwrap_or(u64::MAX));
        self.metrics.watermarks.increment(u64::try_from(watermarks).unwrap_or(u64::MAX));
        if batch.events > 0 {
            self.metrics.batch_events.record(f64::from(u32::try_from(batch.events).unwrap_or(u32::MAX)));
        }
    }

    fn after_publishing(&mut self, mut lead: Lead, more: bool) -> State {
        if lead.cursor_is_due() {
            return State::MovingCursor(lead, None);
        }
        if let Some(batch) = lead.ahead.take() {
            return self.with_batch(lead, batch);
        }
        if more {
            return State::Reading(lead);
        }
        self.metrics.show_no_ages();
        State::Idle(lead)
    }

    async fn move_cursor(&mut self, mut lead: Lead, batch: Option<Batch>) -> Step {
        let (cursor, began_at) = (lead.cursor(), Instant::now());
        match self.store.move_cursor(lead.fence, &cursor, self.config.lease).await {
            Ok(CursorOutcome::Moved) => {
                self.metrics.cursor_seconds.record(began_at.elapsed());
                lead.moved(cursor, &self.config);
                Ok(match batch {
                    Some(batch) => State::Publishing(lead, batch),
                    None => self.after_publishing(lead, true),
                })
            }
            Ok(CursorOutcome::Fenced) => {
                tracing::warn!(fence = lead.fence.0, "another relay has taken the lead");
                if let Some(batch) = batch {
                    batch.is_fenced();
                }
                Ok(State::Standby)
            }
            Err(error) => again(State::MovingCursor(lead, batch), error),
        }
    }

    async fn idle(&mut self, lead: Lead) -> State {
        if self.nothing_count > 1 {
            let delay = self.nothing.next_delay();
            self.rest(delay).await;
        }
        let wait_max = lead.wake_at().saturating_duration_since(Instant::now());
        tokio::select! {
            () = self.store.wait_for_events(lead.read.up_to, wait_max) => {}
            () = self.shutdown.begun() => {}
        }
        if lead.wake_at() <= Instant::now() {
            self.nothing_count = 0;
        }
        State::Reading(lead)
    }

    /// Waits, but not through shutdown.
    async fn rest(&self, delay: Duration) {
        tokio::select! {
            () = pause(delay) => {}
            () = self.shutdown.begun() => {}
        }
    }

    /// Stores what was acknowledged and gives the lease back. Tries once: whoever leads next finds out from the log what is there.
    async fn resign(&self, state: State) {
        self.metrics.lease_held.set(0.0);
        let fence = match state {
            State::Standby => return,
            State::Resuming(fence, _) => fence,
            State::Reading(lead) | State::Publishing(lead, _) | State::MovingCursor(lead, _) | State::Idle(lead) => {
                let cursor = lead.cursor();
                if cursor != lead.stored
                    && let Err(error) = self.store.move_cursor(lead.fence, &cursor, self.config.lease).await
                {
                    tracing::warn!(%error, "could not store the cursor at shutdown");
                }
                lead.fence
            }
        };
        match self.store.release_lease(fence).await {
            Ok(()) => tracing::info!(fence = fence.0, "the relay has given the lead back"),
            Err(error) => tracing::warn!(%error, "could not give the lead back; it ends by itself"),
        }
    }
}
