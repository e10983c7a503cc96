//! State of a running projector, as it reports it.

use std::{collections::BTreeMap, time::Duration};

use diptych_kernel::domain::{Domain, ViewId};
use tokio::time::Instant;

use crate::engine::Engine;

/// How long a member of the group waits for its first partitions before it counts as one for which there are none.
const FIRST_ASSIGNMENT_MAX: Duration = Duration::from_secs(10);

/// What a projector has left to do until its views follow the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProjectorState {
    /// It has no partitions yet.
    #[default]
    Joining,
    /// Tables are filled from the write database: those of these views, each in a number of its partitions.
    Filling(BTreeMap<ViewId, usize>),
    /// All views follow the log in all of its partitions, or there are no partitions for it.
    Live,
}

impl<D: Domain, S, V, P, C> Engine<D, S, V, P, C> {
    /// The state of this member of the group.
    pub(crate) fn state(&self, joined_at: Instant) -> ProjectorState {
        if self.owned.is_empty() {
            let is_idle = joined_at.elapsed() >= FIRST_ASSIGNMENT_MAX;
            return if is_idle { ProjectorState::Live } else { ProjectorState::Joining };
        }
        let mut filling = BTreeMap::<ViewId, usize>::new();
        for partition in self.owned.values() {
            for view in partition.views_behind() {
                *filling.entry(view).or_default() += 1;
            }
        }
        if filling.is_empty() { ProjectorState::Live } else { ProjectorState::Filling(filling) }
    }
}
