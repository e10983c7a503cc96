//! Steps of a leader: reading events, publishing batches, moving the cursor, and waiting for events.

use diptych_kernel::ports::{CursorOutcome, Effect, EventLog, EventPage, EventStore, PortResult, RelayState};
use tokio::time::Instant;

use super::{Relay, Resumption, State, StepResult, retry_in};
use crate::{batch::RelayBatch, leadership::Leadership};

impl<S: EventStore + RelayState, L: EventLog> Relay<S, L> {
    /// Reads the next events.
    pub(super) async fn read(&mut self, mut leadership: Leadership) -> StepResult {
        match self.read_page(&leadership).await {
            Ok(page) => {
                let batch = leadership.make_batch(page, self.config.read_events_max);
                Ok(self.after_reading(leadership, batch))
            }
            Err(error) => {
                leadership.reads_unconfirmed = true;
                let due = leadership.cursor_is_due();
                let state = if due { State::MovingCursor(leadership, None) } else { State::Reading(leadership) };
                retry_in(state, error)
            }
        }
    }

    async fn read_page(&self, leadership: &Leadership) -> PortResult<EventPage> {
        let began_at = Instant::now();
        let page = self.store.read_after(leadership.read.up_to, self.config.read_events_max).await?;
        self.metrics.read_seconds.record(began_at.elapsed());
        Ok(page)
    }

    /// Appends a batch to the log. If more events are known to exist, reads them meanwhile.
    ///
    /// After an append of unknown outcome, the relay compares the log with its cursor again: the log may have lost
    /// records that it had acknowledged before.
    pub(super) async fn publish(&mut self, mut leadership: Leadership, mut batch: RelayBatch) -> StepResult {
        batch.start_spans();
        let appended = if batch.has_more && leadership.prefetched.is_none() {
            let (appended, page) = futures::join!(self.append(&batch), self.read_page(&leadership));
            match page {
                Ok(page) => leadership.prefetched = Some(leadership.make_batch(page, self.config.read_events_max)),
                // The same events are read again after this batch, and a further failure is counted there.
                Err(error) => {
                    tracing::debug!(%error, "prefetching events failed");
                    leadership.reads_unconfirmed = true;
                }
            }
            appended
        } else {
            self.append(&batch).await
        };
        if let Err(error) = appended {
            self.log_failing_since.get_or_insert_with(Instant::now);
            self.metrics.report_ages(&batch.oldest);
            if error.effect() == Effect::Unknown {
                batch.mark_failed("outcome_unknown");
                let Leadership { fence, stored: cursor, published, .. } = leadership;
                return retry_in(State::Resuming(Resumption { fence, cursor, published: Some(published) }), error);
            }
            let due = leadership.cursor_is_due();
            return retry_in(
                if due { State::MovingCursor(leadership, Some(batch)) } else { State::Publishing(leadership, batch) },
                error,
            );
        }
        self.log_failing_since = None;
        leadership.batch_acknowledged(&batch, &self.config);
        self.count_published(&batch);
        Ok(self.after_publishing(leadership, batch.has_more))
    }

    async fn append(&self, batch: &RelayBatch) -> PortResult<()> {
        let began_at = Instant::now();
        self.metrics.report_ages_during(&batch.oldest, self.log.append(&batch.entries)).await?;
        self.metrics.publish_seconds.record(began_at.elapsed());
        Ok(())
    }

    fn count_published(&self, batch: &RelayBatch) {
        let watermark_count = batch.entries.len() - batch.event_count;
        self.metrics.events.increment(u64::try_from(batch.event_count).unwrap_or(u64::MAX));
        self.metrics.watermarks.increment(u64::try_from(watermark_count).unwrap_or(u64::MAX));
        if batch.event_count > 0 {
            self.metrics.batch_events.record(f64::from(u32::try_from(batch.event_count).unwrap_or(u32::MAX)));
        }
    }

    /// Stores the cursor and extends the lease, then publishes `batch` if there is one.
    pub(super) async fn move_cursor(&mut self, mut leadership: Leadership, batch: Option<RelayBatch>) -> StepResult {
        let (cursor, began_at) = (leadership.cursor(), Instant::now());
        match self.store.move_cursor(leadership.fence, &cursor, self.config.lease_duration).await {
            Ok(CursorOutcome::Moved) => {
                self.metrics.cursor_seconds.record(began_at.elapsed());
                self.lease_renewal.lease_extended(leadership.fence, &cursor, began_at);
                leadership.cursor_stored(cursor, &self.config);
                Ok(match batch {
                    Some(batch) => State::Publishing(leadership, batch),
                    None => self.after_publishing(leadership, true),
                })
            }
            Ok(CursorOutcome::Fenced) => {
                self.lease_renewal.lease_ended();
                tracing::warn!(fence = leadership.fence.0, "fenced: another relay leads");
                if let Some(batch) = batch {
                    batch.mark_failed("fenced");
                }
                Ok(State::Standby)
            }
            Ok(CursorOutcome::EventsLost) => {
                tracing::warn!(
                    "the write database lacks an event that was read from it; comparing the log with it again"
                );
                if let Some(batch) = batch {
                    batch.mark_failed("events_lost");
                }
                // What was read is read again.
                let Leadership { fence, stored: cursor, published, .. } = leadership;
                Ok(State::Resuming(Resumption { fence, cursor, published: Some(published) }))
            }
            Err(error) => retry_in(State::MovingCursor(leadership, batch), error),
        }
    }

    /// Waits until there are events, a watermark or the cursor is due, or shutdown begins.
    pub(super) async fn wait_for_events(&mut self, leadership: Leadership) -> State {
        if self.empty_reads > 1 {
            let delay = self.empty_read_backoff.next_delay();
            self.sleep(delay).await;
        }
        let wait_max = leadership.wake_at().saturating_duration_since(Instant::now());
        tokio::select! {
            () = self.store.wait_for_events(leadership.read.up_to, wait_max) => {}
            () = self.shutdown.begun() => {}
        }
        if leadership.wake_at() <= Instant::now() {
            self.empty_reads = 0;
        }
        State::Reading(leadership)
    }
}
