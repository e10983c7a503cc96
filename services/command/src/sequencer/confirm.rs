//! Confirmation of refusals before they are sent (G8, G2).
//!
//! A refusal was decided on cached states, with events of the same batch on top. At this step these events are stored:
//! the append has checked every stream that it wrote to. What is left to check is whether the other streams still had
//! the same version, and whether the request id is new. Versions only grow, so a stream that has not changed now had
//! not changed then.

use std::collections::HashSet;

use diptych_kernel::{
    domain::Domain,
    ports::{EventStore, StreamSlice},
};

use super::{
    batch::CommandBatch,
    load::{LoadRequest, apply_all},
    store_access::StoreAccess,
    working_set::{LoadNumber, SlotId, SlotState, WorkingSet},
};
use crate::retry_until::{RetryError, RetryUntil};

impl<S: EventStore> StoreAccess<S> {
    /// Sends every refusal whose streams have not changed, replies to commands that are stored already, and leaves the
    /// others open, on updated states, to be decided again.
    pub(super) async fn confirm_refusals<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        retry: RetryUntil,
    ) -> Result<(), RetryError> {
        let load_number = batch.last_load.next();
        let mut request = LoadRequest::new(load_number);
        for entry in batch.entries.iter_mut().filter(|entry| entry.refusal.is_some()) {
            request.add(entry, &batch.working_set, |_| true);
        }
        if request.is_empty() {
            return Ok(());
        }
        batch.last_load = load_number;
        let loaded = self.load::<D>(&request, retry).await?;
        let mut changed = HashSet::new();
        for (slot, slice) in request.slots.iter().zip(&loaded.streams) {
            if has_changed(slice) {
                changed.insert(*slot);
            }
            update(&mut batch.working_set, *slot, slice, load_number);
        }
        batch.reply_stored(loaded.requests, true);
        for entry in batch.entries.iter_mut().filter(|entry| entry.refusal.is_some() && entry.is_open()) {
            if !entry.slots.iter().any(|slot| changed.contains(slot)) {
                entry.reply_refused();
            }
        }
        Ok(())
    }
}

/// Returns whether a stream has new events. One that was empty may have grown so much that it is returned as a
/// snapshot.
fn has_changed(slice: &StreamSlice) -> bool {
    slice.snapshot.is_some() || !slice.events.is_empty()
}

fn update<D: Domain>(working_set: &mut WorkingSet<D>, slot: SlotId, slice: &StreamSlice, load_number: LoadNumber) {
    let Some(state) = working_set.state_mut(slot) else { return };
    if slice.snapshot.is_none() && apply_all(&slice.stream_id, state, &slice.events) {
        working_set.set_current(slot, load_number);
    } else {
        // Loaded as a whole in the next round. An event that cannot be read is found again there, and fails every
        // command on the stream.
        working_set.set(slot, SlotState::Missing, None);
    }
}
