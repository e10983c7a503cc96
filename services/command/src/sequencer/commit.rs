//! Commit: one append of all that a batch has decided.

use diptych_kernel::{
    domain::Domain,
    ports::{AppendOutcome, AppendUnit, Conflict, EventStore, StoredRequest},
};
use tokio::time::Instant;
use tracing::{debug, error};

use super::{batch::CommandBatch, decide::PlannedAppend, store_access::StoreAccess, trace::AppendSpans};
use crate::retry_until::{Answered, RetryError, RetryUntil};

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BatchOutcome {
    /// The append is stored.
    Committed,
    /// The append is not stored and will not be: another process wrote first. The open commands of the batch are to be
    /// decided again.
    Rejected,
}

impl<S: EventStore> StoreAccess<S> {
    /// Stores the planned append and replies to the commands that are stored. If the outcome of an attempt is unknown,
    /// the same append is made again: the store takes it once, and reports that it has it.
    pub(super) async fn commit<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        mut planned: PlannedAppend,
        retry: RetryUntil,
    ) -> Result<BatchOutcome, RetryError> {
        if planned.units.is_empty() {
            return Ok(BatchOutcome::Committed);
        }
        let spans = AppendSpans::begin(&mut planned.units);
        let started = Instant::now();
        let append = || self.breaker.observe(self.store.append(&planned.units, &planned.snapshots));
        let answer = retry.run("append", || batch.is_overtaking(&planned.entries, &self.queue_index), append).await;
        self.metrics.append_finished(started.elapsed());
        let outcome = match answer {
            Ok(answered) => self.handle_outcome(batch, &planned, answered, &spans),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            spans.fail(error.error_type());
            match error {
                RetryError::Unavailable => batch.working_set.roll_back(),
                // It may be stored, or may yet be. The next batch on these streams loads them again.
                _ => batch.working_set.evict_uncommitted(),
            }
            if batch.is_overtaking(&planned.entries, &self.queue_index) && Instant::now() < retry.deadline() {
                // The others are decided again. Should the append be stored after all, the next one reports its
                // outcomes.
                if error == RetryError::OutcomeUnknown {
                    batch.mark_in_doubt(&planned.entries);
                }
                return Ok(BatchOutcome::Rejected);
            }
        }
        outcome
    }

    fn handle_outcome<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        planned: &PlannedAppend,
        answered: Answered<AppendOutcome>,
        spans: &AppendSpans,
    ) -> Result<BatchOutcome, RetryError> {
        match answered.value {
            AppendOutcome::Committed(receipts) => {
                if receipts.len() != planned.units.len() {
                    let (receipts, units) = (receipts.len(), planned.units.len());
                    error!(receipts, units, "the write database returned a wrong number of receipts");
                    return Err(RetryError::OutcomeUnknown);
                }
                batch.working_set.mark_committed();
                batch.conflicts_in_a_row = 0;
                for (index, receipt) in planned.entries.iter().zip(&receipts) {
                    if let Some(entry) = batch.entries.get_mut(*index) {
                        entry.reply_committed(entry.fingerprint, receipt, false);
                    }
                }
                Ok(BatchOutcome::Committed)
            }
            AppendOutcome::Rejected { conflicts, done } => {
                if answered.earlier_unknown {
                    batch.working_set.evict_uncommitted();
                } else {
                    batch.working_set.roll_back();
                }
                let own = answered.earlier_unknown && is_whole(&planned.units, &done);
                if !own {
                    spans.fail("rejected");
                }
                self.handle_rejection(batch, &conflicts, done, own)?;
                Ok(BatchOutcome::Rejected)
            }
        }
    }

    /// Replies to the commands whose outcome is stored already, marks the streams in conflict so that their new events
    /// are loaded, and after too many conflicts in a row fails the commands on them. `own`: an earlier attempt of this
    /// same append stored them.
    fn handle_rejection<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        conflicts: &[Conflict],
        done: Vec<StoredRequest>,
        own: bool,
    ) -> Result<(), RetryError> {
        let mut closed = batch.reply_stored(done, !own);
        // Streams that this same append has changed are not in conflict with another process.
        let conflicts = if own { &[] } else { conflicts };
        self.metrics.record_conflicts(conflicts.len());
        for Conflict { stream_id, expected, actual } in conflicts {
            let (expected, actual) = (expected.number(), actual.number());
            debug!(%stream_id, expected, actual, "another process wrote first, deciding again");
            batch.working_set.mark_stale(stream_id);
            batch.conflicted.push(stream_id.clone());
        }
        if conflicts.is_empty() {
            batch.conflicts_in_a_row = 0;
        } else {
            batch.conflicts_in_a_row += 1;
            if batch.conflicts_in_a_row <= self.conflict_retries_max {
                return Ok(());
            }
            closed += batch.fail_contended(conflicts);
        }
        if closed == 0 {
            error!(?conflicts, "the write database rejected an append without naming a cause that is in it");
            return Err(RetryError::Internal);
        }
        Ok(())
    }
}

/// Returns whether all of an append is committed with the same content.
fn is_whole(units: &[AppendUnit], done: &[StoredRequest]) -> bool {
    units.iter().all(|unit| {
        done.iter().any(|stored| {
            let same = stored.request_id == unit.request_id && stored.fingerprint == unit.fingerprint;
            same && stored.receipt().is_some()
        })
    })
}
