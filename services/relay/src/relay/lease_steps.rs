//! Steps around a leadership: acquiring the lease, resuming, and stepping down.

use diptych_kernel::{
    EventIdentity, Partition,
    ports::{EventLog, EventStore, LeaseOutcome, PortError, RelayCursor, RelayState},
};
use tokio::time::Instant;

use super::{LEAD_WITHOUT_LOG_MAX, Relay, Resumption, State, StepResult, retry_in};
use crate::{
    error::RelayError,
    leadership::Leadership,
    metrics::{EventAge, OldestUnpublished},
    resume::{compare, compare_again, find_unknown_end},
};

impl<S: EventStore + RelayState, L: EventLog> Relay<S, L> {
    /// Acquires the lease, or waits if another relay holds it.
    pub(super) async fn acquire_lease(&mut self) -> StepResult {
        self.metrics.lease_held.set(0.0);
        let began_at = Instant::now();
        match self.store.acquire_lease(self.owner.as_str(), self.config.lease_duration).await {
            Ok(LeaseOutcome::Held { fence, cursor }) => {
                self.lease_renewal.lease_extended(fence, &cursor, began_at);
                let published_up_to = cursor.published_up_to.as_i64();
                tracing::info!(fence = fence.0, published_up_to, "acquired the lease; this relay leads");
                self.metrics.lease_held.set(1.0);
                Ok(State::Resuming(Resumption { fence, cursor, published: None }))
            }
            Ok(LeaseOutcome::HeldByOther { owner, expires_at }) => {
                self.lease_renewal.lease_ended();
                tracing::debug!(owner, "another relay leads");
                self.twin_detector.look(&self.owner, &owner, expires_at);
                self.metrics.clear_ages();
                self.stand_by().await;
                Ok(State::Standby)
            }
            Err(error) => retry_in(State::Standby, error),
        }
    }

    /// Waits until the lease may be free. If this process was stalled meanwhile, the leader may have been too, as on
    /// one machine: it gets the time to extend its lease.
    async fn stand_by(&self) {
        let (interval, began_at) = (self.config.standby_interval(), Instant::now());
        self.sleep(interval).await;
        if began_at.elapsed() > interval + self.config.extend_interval() {
            self.sleep(self.config.extend_interval()).await;
        }
    }

    /// Compares the log with the cursor and determines where to continue.
    pub(super) async fn resume(&mut self, resumption: Resumption) -> StepResult {
        let ends = match self.log.ends().await {
            Ok(ends) => ends,
            Err(error) => {
                self.report_age_of_first_unpublished(&resumption.cursor).await;
                let failing_since = *self.log_failing_since.get_or_insert_with(Instant::now);
                if failing_since.elapsed() >= LEAD_WITHOUT_LOG_MAX {
                    return Ok(self.leave_to_others(resumption, error).await);
                }
                return resume_later(resumption, error);
            }
        };
        match find_unknown_end(&*self.store, self.partitions, &ends).await {
            Ok(None) => {}
            Ok(Some((partition, event))) => return self.refuse_to_lead(partition, event).await,
            Err(error) => return resume_later(resumption, error),
        }
        let Resumption { fence, cursor, published } = resumption;
        let start = match &published {
            Some(published) => compare_again(self.partitions, &cursor, published, &ends),
            None => compare(self.partitions, &cursor, &ends),
        };
        if !start.lost.is_empty() {
            let partitions: Vec<u16> = start.lost.iter().map(|partition| partition.number()).collect();
            let from_exclusive = start.read_up_to.as_i64();
            tracing::warn!(?partitions, from_exclusive, "the log lost acknowledged records; publishing them again");
        }
        Ok(State::Reading(Leadership::new(fence, cursor, start, &self.config)))
    }

    /// Releases the lease, as this relay does not reach the log, and waits so that another one can take it.
    async fn leave_to_others(&mut self, resumption: Resumption, error: PortError) -> State {
        let failing_s = LEAD_WITHOUT_LOG_MAX.as_secs();
        tracing::warn!(%error, failing_s, "this relay does not reach the log, leaving the lease to another one");
        self.lease_renewal.lease_ended();
        self.metrics.lease_held.set(0.0);
        let Resumption { fence, cursor, published } = resumption;
        // What this leader has published must not be forgotten: the log may lose it.
        if let Some(cursor) = published.map(|published| published.cursor_after(&cursor))
            && let Err(error) = self.store.move_cursor(fence, &cursor, self.config.lease_duration).await
        {
            tracing::warn!(%error, "failed to store the cursor; the next leader reads the log instead");
        }
        if let Err(error) = self.store.release_lease(fence).await {
            tracing::warn!(%error, "failed to release the lease; it expires by itself");
        }
        self.log_failing_since = None;
        self.sleep(2 * self.config.lease_duration).await;
        State::Standby
    }

    /// Suspends all appends, as the log has an event that the write database lost: commands that were accepted now
    /// would get its position. Then stops the relay.
    async fn refuse_to_lead(&self, partition: Partition, event: EventIdentity) -> StepResult {
        let error = RelayError::DatabaseWentBack { partition, event };
        match self.store.suspend_appends(&error.to_string()).await {
            Ok(()) => Err(error.into()),
            Err(failure) => retry_in(State::Standby, failure),
        }
    }

    /// Reports the age of the first unpublished event while the log cannot be asked for its ends.
    async fn report_age_of_first_unpublished(&self, cursor: &RelayCursor) {
        // An error here is ignored: a metric must not cause a failure or a retry.
        let Ok(page) = self.store.read_after(cursor.published_up_to, 1).await else { return };
        let mut oldest = OldestUnpublished::none(cursor.last_positions.len());
        if let Some(event) = page.events.first() {
            let (recorded_at, read_at) = (event.recorded_at, page.read_at);
            oldest.add(event.partition, EventAge { recorded_at, read_at, read_at_local: Instant::now() });
        }
        self.metrics.report_ages(&oldest);
    }

    /// Stores the cursor and releases the lease. Each is tried once: the next leader finds in the log what was
    /// published.
    pub(super) async fn step_down(&self, state: State) {
        self.metrics.lease_held.set(0.0);
        self.lease_renewal.lease_ended();
        let fence = match state {
            State::Standby => return,
            State::Resuming(resumption) => resumption.fence,
            State::Reading(leadership)
            | State::Publishing(leadership, _)
            | State::MovingCursor(leadership, _)
            | State::Idle(leadership) => {
                let cursor = leadership.cursor();
                let (fence, lease_duration) = (leadership.fence, self.config.lease_duration);
                if cursor != leadership.stored
                    && let Err(error) = self.store.move_cursor(fence, &cursor, lease_duration).await
                {
                    tracing::warn!(%error, "failed to store the cursor; the next leader reads the log instead");
                }
                fence
            }
        };
        match self.store.release_lease(fence).await {
            Ok(()) => tracing::info!(fence = fence.0, "released the lease"),
            Err(error) => tracing::warn!(%error, "failed to release the lease; it expires by itself"),
        }
    }
}

/// Retries. At the start of a leadership this begins with acquiring the lease, which extends it, so that it does not
/// expire while the log is unreachable. Later, what this leader has published must not be forgotten.
fn resume_later(resumption: Resumption, error: PortError) -> StepResult {
    let state = if resumption.published.is_some() { State::Resuming(resumption) } else { State::Standby };
    retry_in(state, error)
}
