//! The streams of one batch: their states, with the uncommitted events of the batch on top.

use std::{collections::HashMap, mem, slice};

use diptych_kernel::{StreamId, Version, domain::Domain, ports::Snapshot};

use super::states::{CachedState, StateCache};

/// Index of a stream of the batch. Only [`WorkingSet::slot_of`] makes one, and slots are never removed, so it is always
/// valid in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SlotId(usize);

/// The state of a slot.
pub(super) enum SlotState<D: Domain> {
    /// The stream is to be loaded.
    Missing,
    /// The state of the stream.
    Loaded(CachedState<D>),
    /// A stored event of the stream cannot be read.
    Unreadable,
}

/// A state before the batch applied events to it.
struct CommittedState<D: Domain> {
    state: D::State,
    version: Version,
}

struct Slot<D: Domain> {
    stream_id: StreamId,
    state: SlotState<D>,
    /// Present if the batch has applied events that are not stored yet.
    committed: Option<CommittedState<D>>,
    /// True if the append under way stores a snapshot of it.
    snapshot_pending: bool,
    /// True if events of other processes are to be loaded before the next decision.
    is_stale: bool,
}

/// The streams of one batch.
pub(super) struct WorkingSet<D: Domain> {
    slots: Vec<Slot<D>>,
    by_stream: HashMap<StreamId, SlotId>,
}

impl<D: Domain> WorkingSet<D> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), by_stream: HashMap::new() }
    }

    /// The slot of a stream, with a copy of its state if that is in the cache. The cache keeps the committed state
    /// meanwhile: if the write database does not answer, commands that are queued are expected to be decided on it.
    pub(super) fn slot_of(&mut self, stream_id: &StreamId, cache: &mut StateCache<D>) -> SlotId {
        if let Some(id) = self.by_stream.get(stream_id) {
            return *id;
        }
        let id = SlotId(self.slots.len());
        self.slots.push(Slot {
            stream_id: stream_id.clone(),
            state: cache.get(stream_id).map_or(SlotState::Missing, SlotState::Loaded),
            committed: None,
            snapshot_pending: false,
            is_stale: false,
        });
        self.by_stream.insert(stream_id.clone(), id);
        id
    }

    /// Returns the committed states to the cache, for the next batch. It forgets those that are not known any more.
    pub(super) fn return_to_cache(&mut self, cache: &mut StateCache<D>) {
        self.roll_back();
        for slot in self.slots.drain(..) {
            match slot.state {
                SlotState::Loaded(cached) => cache.put(slot.stream_id, cached),
                SlotState::Missing | SlotState::Unreadable => drop(cache.take(&slot.stream_id)),
            }
        }
        self.by_stream.clear();
    }

    pub(super) fn stream_id(&self, id: SlotId) -> &StreamId {
        &self.slots[id.0].stream_id
    }

    /// Returns whether the stream is to be loaded: the whole of it, or the events after its version.
    pub(super) fn needs_load(&self, id: SlotId) -> bool {
        let slot = &self.slots[id.0];
        slot.is_stale || matches!(slot.state, SlotState::Missing)
    }

    pub(super) fn is_readable(&self, id: SlotId) -> bool {
        matches!(self.slots[id.0].state, SlotState::Loaded(_))
    }

    /// The version, including the events that the batch has applied; [`Version::NONE`] if no state is loaded.
    pub(super) fn version(&self, id: SlotId) -> Version {
        match &self.slots[id.0].state {
            SlotState::Loaded(cached) => cached.version,
            SlotState::Missing | SlotState::Unreadable => Version::NONE,
        }
    }

    /// Sets the result of a load.
    pub(super) fn set(&mut self, id: SlotId, state: SlotState<D>) {
        let slot = &mut self.slots[id.0];
        slot.state = state;
        slot.is_stale = false;
        slot.committed = None;
    }

    /// Has the domain decide a command. The states are unchanged afterwards.
    pub(super) fn decide(
        &mut self,
        ids: &[SlotId],
        command: &D::Command,
    ) -> Result<Vec<(usize, D::Event)>, D::Refusal> {
        if let [only] = ids
            && let SlotState::Loaded(cached) = &self.slots[only.0].state
        {
            return D::decide(slice::from_ref(&cached.state), command);
        }
        // The domain takes a slice of states, so they are moved there and back; nothing is copied. The streams of a
        // command are distinct, so none is moved twice.
        let states: Vec<D::State> = ids.iter().map(|id| self.exchange(*id, D::State::default())).collect();
        let decision = D::decide(&states, command);
        for (id, state) in ids.iter().zip(states) {
            self.exchange(*id, state);
        }
        decision
    }

    fn exchange(&mut self, id: SlotId, other: D::State) -> D::State {
        match &mut self.slots[id.0].state {
            SlotState::Loaded(cached) => mem::replace(&mut cached.state, other),
            SlotState::Missing | SlotState::Unreadable => other,
        }
    }

    /// Applies an event of the batch, and returns its version. The first one of a batch copies the state, for a
    /// rollback.
    pub(super) fn apply_uncommitted(&mut self, id: SlotId, event: &D::Event) -> Version {
        let slot = &mut self.slots[id.0];
        let SlotState::Loaded(cached) = &mut slot.state else {
            return Version::NONE;
        };
        if slot.committed.is_none() {
            slot.committed = Some(CommittedState { state: cached.state.clone(), version: cached.version });
        }
        D::evolve(&mut cached.state, event);
        cached.version = cached.version.next();
        cached.version
    }

    /// Snapshots of the streams that have grown by `every` events since their last snapshot.
    pub(super) fn snapshots(&mut self, every: usize) -> Vec<Snapshot> {
        let mut snapshots = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.committed.is_some()) {
            let SlotState::Loaded(cached) = &slot.state else { continue };
            let grown = cached.version.number().saturating_sub(cached.snapshot_version.number());
            slot.snapshot_pending = usize::try_from(grown).is_ok_and(|grown| grown >= every);
            if slot.snapshot_pending {
                snapshots.push(Snapshot {
                    stream_id: slot.stream_id.clone(),
                    version: cached.version,
                    format: D::SNAPSHOT_FORMAT,
                    state: D::encode_snapshot(&cached.state),
                });
            }
        }
        snapshots
    }

    /// Keeps the applied events: they are stored.
    pub(super) fn mark_committed(&mut self) {
        for slot in &mut self.slots {
            slot.committed = None;
            if mem::take(&mut slot.snapshot_pending)
                && let SlotState::Loaded(cached) = &mut slot.state
            {
                cached.snapshot_version = cached.version;
            }
        }
    }

    /// Undoes the applied events: they are not stored, and will not be.
    pub(super) fn roll_back(&mut self) {
        for slot in &mut self.slots {
            slot.snapshot_pending = false;
            if let (Some(committed), SlotState::Loaded(cached)) = (slot.committed.take(), &mut slot.state) {
                cached.state = committed.state;
                cached.version = committed.version;
            }
        }
    }

    /// Evicts the streams with applied events, because these may be stored or not. They are to be loaded again.
    pub(super) fn evict_uncommitted(&mut self) {
        for slot in &mut self.slots {
            slot.snapshot_pending = false;
            if slot.committed.take().is_some() {
                slot.state = SlotState::Missing;
            }
        }
    }

    /// Marks a stream as changed by another process: its new events are to be loaded.
    pub(super) fn mark_stale(&mut self, stream_id: &StreamId) {
        if let Some(id) = self.by_stream.get(stream_id) {
            self.slots[id.0].is_stale = true;
        }
    }

    /// Marks all streams but those for which `is_current` holds as changed by another process.
    pub(super) fn mark_all_stale_except(&mut self, is_current: impl Fn(&StreamId) -> bool) {
        for slot in &mut self.slots {
            slot.is_stale |= !is_current(&slot.stream_id);
        }
    }

    /// Takes the state of a stale stream, to apply the events after its version.
    pub(super) fn take_stale(&mut self, id: SlotId) -> Option<CachedState<D>> {
        let slot = &mut self.slots[id.0];
        if !mem::take(&mut slot.is_stale) || slot.committed.is_some() {
            return None;
        }
        match mem::replace(&mut slot.state, SlotState::Missing) {
            SlotState::Loaded(cached) => Some(cached),
            SlotState::Missing | SlotState::Unreadable => None,
        }
    }
}
