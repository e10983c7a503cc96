//! Storing what a batch has decided.

use diptych_kernel::{
    domain::Domain,
    ports::{AppendOutcome, AppendUnit, Conflict, EventStore, StoredRequest},
};
use tokio::time::Instant;
use tracing::{debug, error};

use super::{Sequencer, batch::Batch, decide::Proposal, trace::AppendSpans};
use crate::patience::{Answered, GaveUp, Patience};

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// What was decided is stored.
    Stands,
    /// It is not stored and will not be: others were first. What is left of the batch is to be decided again.
    DecideAgain,
}

impl<D: Domain, S: EventStore> Sequencer<D, S> {
    /// Stores the proposal with one append, and answers the commands that are stored. Where the effect of an attempt is not known, the very
    /// same append is made again: the store takes it once, and says so.
    pub(super) async fn commit(
        &self,
        batch: &mut Batch<D>,
        mut proposal: Proposal,
        patience: Patience,
    ) -> Result<Landing, GaveUp> {
        if proposal.units.is_empty() {
            return Ok(Landing::Stands);
        }
        let spans = AppendSpans::begin(&mut proposal.units);
        let started = Instant::now();
        let answer =
            patience.until_answered("append", || self.store.append(&proposal.units, &proposal.snapshots)).await;
        self.metrics.append_answered(started.elapsed());
        let landing = match answer {
            Ok(answered) => self.take_answer(batch, &proposal, answered, &spans),
            Err(gave_up) => Err(gave_up),
        };
        if let Err(gave_up) = landing {
            spans.fail(gave_up.error_type());
            // It may be stored, or may yet be. The next batch on these streams loads them, and builds on whatever is there.
            batch.working_set.forget_touched();
        }
        landing
    }

    fn take_answer(
        &self,
        batch: &mut Batch<D>,
        proposal: &Proposal,
        answered: Answered<AppendOutcome>,
        spans: &AppendSpans,
    ) -> Result<Landing, GaveUp> {
        match answered.value {
            AppendOutcome::Committed(receipts) => {
                if receipts.len() != proposal.units.len() {
                    let (receipts, units) = (receipts.len(), proposal.units.len());
                    error!(receipts, units, "the write database gave a wrong number of receipts");
                    return Err(GaveUp::OutcomeUnknown);
                }
                batch.working_set.keep();
                batch.conflicts_in_a_row = 0;
                for (index, receipt) in proposal.entries.iter().zip(&receipts) {
                    if let Some(entry) = batch.entries.get_mut(*index) {
                        entry.settle_stored(entry.fingerprint, receipt, false);
                    }
                }
                Ok(Landing::Stands)
            }
            AppendOutcome::Rejected { conflicts, done } => {
                if answered.doubted {
                    batch.working_set.forget_touched();
                } else {
                    batch.working_set.roll_back();
                }
                let own = answered.doubted && is_whole(&proposal.units, &done);
                if !own {
                    spans.fail("rejected");
                }
                self.take_rejection(batch, &conflicts, done, own)?;
                Ok(Landing::DecideAgain)
            }
        }
    }

    /// Answers what is stored already, has the streams in conflict loaded again, and after too many conflicts in a row ends the
    /// commands that touch them. `own` says that it was an earlier attempt of this very append that stored them.
    fn take_rejection(
        &self,
        batch: &mut Batch<D>,
        conflicts: &[Conflict],
        done: Vec<StoredRequest>,
        own: bool,
    ) -> Result<(), GaveUp> {
        let mut settled = batch.settle_stored(done, !own);
        // What this very append has moved is not somebody else's conflict.
        let conflicts = if own { &[] } else { conflicts };
        self.metrics.conflicted(conflicts.len());
        for Conflict { stream_id, expected, actual } in conflicts {
            debug!(%stream_id, %expected, %actual, "another process wrote first, deciding again");
            batch.working_set.forget(stream_id);
        }
        if conflicts.is_empty() {
            batch.conflicts_in_a_row = 0;
        } else {
            batch.conflicts_in_a_row += 1;
            if batch.conflicts_in_a_row <= self.config.conflict_retries_max {
                return Ok(());
            }
            settled += batch.settle_contention(conflicts);
        }
        if settled == 0 {
            error!(?conflicts, "the write database rejected an append for nothing that is in it");
            return Err(GaveUp::Internal);
        }
        Ok(())
    }
}

/// Whether all of an append is stored, as it was.
fn is_whole(units: &[AppendUnit], done: &[StoredRequest]) -> bool {
    units.iter().all(|unit| {
        done.iter().any(|stored| stored.receipt.request_id == unit.request_id && stored.fingerprint == unit.fingerprint)
    })
}
