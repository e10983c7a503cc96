//! Turns on contended streams.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use diptych_kernel::{
    Partition, StreamId,
    ports::{EventStore, Turn},
};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::store_access::StoreAccess;

/// Longest wait for a turn: many times the duration of a turn.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);

/// Time after which a turn is given to others: several commits, so that the cost of taking a turn and of loading what
/// others have stored meanwhile is small, and short for the callers who wait for it at the other processes.
const TURN_MAX: Duration = Duration::from_millis(20);

/// A turn that this process has. It may last for several batches.
pub(super) struct HeldTurn {
    /// `None` if the turn did not come in time: appends then may conflict.
    turn: Option<Turn>,
    partitions: BTreeSet<Partition>,
    until: Instant,
    /// Streams that were loaded within the turn, without those that the other sequencer of this process may write to.
    /// Nobody else has written to them since, as long as all processes take turns.
    pub(super) loaded: HashSet<StreamId>,
}

impl HeldTurn {
    /// What stands for a turn that did not come.
    pub(super) fn none() -> Self {
        Self { turn: None, partitions: BTreeSet::new(), until: Instant::now(), loaded: HashSet::new() }
    }

    /// Returns whether it did not come.
    pub(super) fn is_none(&self) -> bool {
        self.turn.is_none()
    }

    /// Returns whether commands on these partitions can be decided within it.
    pub(super) fn covers(&self, partitions: &BTreeSet<Partition>) -> bool {
        self.turn.is_some() && partitions.is_subset(&self.partitions)
    }

    /// Returns whether it is to be given to others.
    pub(super) fn is_over(&self) -> bool {
        self.turn.is_none() || Instant::now() >= self.until
    }
}

impl<S: EventStore> StoreAccess<S> {
    /// The partitions of streams.
    pub(super) fn partitions_of(&self, streams: &[StreamId]) -> BTreeSet<Partition> {
        let partitions = self.store.partitions();
        streams.iter().map(|stream_id| partitions.of(stream_id)).collect()
    }

    /// Waits for the turn to write to these partitions. If it does not come in time, as when another process hangs
    /// within its turn, goes on without.
    pub(super) async fn take_turn(&self, partitions: BTreeSet<Partition>) -> HeldTurn {
        let wanted: Vec<Partition> = partitions.iter().copied().collect();
        let turn = match timeout(TURN_WAIT_MAX, self.store.take_turn(&wanted)).await {
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
        };
        HeldTurn { turn, partitions, until: Instant::now() + TURN_MAX, loaded: HashSet::new() }
    }
}
