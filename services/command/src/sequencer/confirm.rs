//! Making sure that a *no* is true before it is told (G8, G2).
//!
//! A *no* was decided on states that the cache held, with events of the same batch on top. When this step comes, these events are stored: the append
//! has checked every stream that it wrote to. What is left to ask is whether the other streams were where they were, and whether
//! the request id is new. Versions only grow, so a stream that has not moved now had not moved then.

use std::collections::HashSet;

use diptych_kernel::{
    domain::Domain,
    ports::{EventStore, StreamSlice},
};

use super::{
    Sequencer,
    batch::Batch,
    load::{Question, take_in_all},
    working_set::{Knowledge, Moment, SlotId, WorkingSet},
};
use crate::patience::{GaveUp, Patience};

impl<D: Domain, S: EventStore> Sequencer<D, S> {
    /// Tells every *no* whose streams have not moved, answers what is stored already, and leaves the others open, on states brought up to
    /// date, to be decided again.
    pub(super) async fn confirm_refusals(&self, batch: &mut Batch<D>, patience: Patience) -> Result<(), GaveUp> {
        let mut question = Question::default();
        let mut asked = HashSet::new();
        let moment = batch.moment.next();
        for entry in batch.entries.iter_mut().filter(|entry| entry.verdict.is_some()) {
            entry.looked_up_at = Some(moment);
            question.requests.push(entry.request_id);
            for slot in entry.slots.iter().filter(|slot| asked.insert(**slot)) {
                question.ask(*slot, &batch.working_set);
            }
        }
        if question.requests.is_empty() {
            return Ok(());
        }
        batch.moment = moment;
        let loaded = self.ask(&question, patience).await?;
        let mut moved = HashSet::new();
        for (slot, slice) in question.slots.iter().zip(&loaded.streams) {
            if has_moved(slice) {
                moved.insert(*slot);
            }
            bring_up_to_date(&mut batch.working_set, *slot, slice, moment);
        }
        batch.settle_stored(loaded.requests, true);
        for entry in batch.entries.iter_mut().filter(|entry| entry.verdict.is_some() && entry.is_open()) {
            if !entry.slots.iter().any(|slot| moved.contains(slot)) {
                entry.settle_verdict();
            }
        }
        Ok(())
    }
}

/// A stream that was empty may have grown so far that it comes back as a snapshot.
fn has_moved(slice: &StreamSlice) -> bool {
    slice.snapshot.is_some() || !slice.events.is_empty()
}

fn bring_up_to_date<D: Domain>(working_set: &mut WorkingSet<D>, slot: SlotId, slice: &StreamSlice, moment: Moment) {
    let Some(held) = working_set.held_mut(slot) else { return };
    if slice.snapshot.is_none() && take_in_all(&slice.stream_id, held, &slice.events) {
        working_set.mark_seen(slot, moment);
    } else {
        // Loaded whole in the next round. What cannot be read is found again there, and told to every command on the stream.
        working_set.learn(slot, Knowledge::Missing, None);
    }
}
