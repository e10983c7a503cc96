//! Turns on contended streams.

use std::{collections::HashSet, time::Duration};

use diptych_kernel::{
    Partition,
    domain::Domain,
    ports::{EventStore, Turn},
};
use tokio::time::timeout;
use tracing::warn;

use super::{batch::CommandBatch, store_access::StoreAccess, working_set::SlotId};

/// Longest wait for a turn: many times the duration of a commit.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);

impl<S: EventStore> StoreAccess<S> {
    /// Waits for the turn to write to these streams. `None` if it does not come in time, as when another process hangs
    /// within its turn: the append then may conflict.
    pub(super) async fn take_turn<D: Domain>(
        &self,
        batch: &CommandBatch<D>,
        streams: &HashSet<SlotId>,
    ) -> Option<Turn> {
        let partitions: HashSet<Partition> =
            streams.iter().map(|slot| self.store.partitions().of(batch.working_set.stream_id(*slot))).collect();
        let partitions: Vec<Partition> = partitions.into_iter().collect();
        match timeout(TURN_WAIT_MAX, self.store.take_turn(&partitions)).await {
            Ok(Ok(turn)) => Some(turn),
            Ok(Err(error)) => {
                warn!(%error, "no turn to write to contended streams, going on without");
                None
            }
            Err(_) => {
                let waited_ms = TURN_WAIT_MAX.as_millis();
                warn!(waited_ms, "no turn to write to contended streams in time, going on without");
                None
            }
        }
    }
}
