//! Confirmation of refusals before they are sent (G8, G2).
//!
//! A refusal was decided on cached states, with events of the same batch on top. At this step these events are stored:
//! the append has checked every stream that it wrote to. What is left to check is whether the other streams still had
//! the same version, and whether the request id is new. The store checks both, and stores the refusal under its request
//! id. Versions only grow, so a stream that has not changed now had not changed then.

use std::iter;

use diptych_kernel::{
    domain::Domain,
    ports::{Conflict, EventStore, RefusalOutcome, RefusalUnit},
};
use tracing::error;

use super::{batch::CommandBatch, store_access::StoreAccess};
use crate::retry_until::{RetryError, RetryUntil};

impl<S: EventStore> StoreAccess<S> {
    /// Stores and sends every refusal whose streams have not changed, replies to commands whose outcome is stored
    /// already, and leaves the others open, to be decided again on the changed streams. Returns false if all are left
    /// open; after too many conflicts in a row it fails them.
    pub(super) async fn confirm_refusals<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        retry: RetryUntil,
    ) -> Result<bool, RetryError> {
        let units = refusal_units(batch);
        if units.is_empty() {
            return Ok(true);
        }
        let refuse = || self.breaker.observe(self.store.refuse(&units));
        let answered = retry.run("refuse", || batch.is_abandoned(), refuse).await?;
        if answered.value.len() != units.len() {
            let (outcomes, refusals) = (answered.value.len(), units.len());
            error!(outcomes, refusals, "the write database returned a wrong number of outcomes of refusals");
            return Err(RetryError::OutcomeUnknown);
        }
        let CommandBatch { entries, working_set, conflicted, .. } = batch;
        let (mut replied, mut all_conflicts) = (0, Vec::new());
        let refused = entries.iter_mut().filter(|entry| entry.refusal.is_some());
        for ((entry, unit), outcome) in iter::zip(iter::zip(refused, &units), answered.value) {
            match outcome {
                RefusalOutcome::Stored => {
                    entry.reply_refused(unit.fingerprint, &unit.refusal, false);
                    replied += 1;
                }
                RefusalOutcome::Done(stored) => {
                    // An earlier attempt of this call may have stored it.
                    let own = answered.earlier_unknown && stored.fingerprint == unit.fingerprint;
                    entry.reply_stored(&stored, !own || stored.receipt().is_some());
                    replied += 1;
                }
                RefusalOutcome::Conflicts(conflicts) => {
                    for Conflict { stream_id, .. } in &conflicts {
                        working_set.mark_stale(stream_id);
                        conflicted.push(stream_id.clone());
                    }
                    all_conflicts.extend(conflicts);
                }
            }
        }
        if replied == 0 {
            batch.conflicts_in_a_row += 1;
            if batch.conflicts_in_a_row > self.conflict_retries_max {
                batch.fail_contended(&all_conflicts);
            }
        }
        Ok(replied > 0)
    }
}

fn refusal_units<D: Domain>(batch: &CommandBatch<D>) -> Vec<RefusalUnit> {
    let working_set = &batch.working_set;
    let units = batch.entries.iter().filter_map(|entry| {
        let refusal = entry.refusal.clone()?;
        let streams = entry.slots.iter().map(|slot| (working_set.stream_id(*slot).clone(), working_set.version(*slot)));
        let (request_id, fingerprint, streams) = (entry.request_id, entry.fingerprint, streams.collect());
        Some(RefusalUnit { request_id, fingerprint, streams, refusal })
    });
    units.collect()
}
