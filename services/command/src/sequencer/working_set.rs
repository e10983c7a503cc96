//! The streams of one batch: their states, with what the batch has decided on top and a way back.

use std::{collections::HashMap, mem, slice};

use diptych_kernel::{StreamId, Version, domain::Domain, ports::Snapshot};

use super::states::{Held, StateCache};

/// A stream of the batch. Only made by [`WorkingSet::slot_of`], and slots are never removed, so it is always valid in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SlotId(usize);

/// One call of `load`: everything that it answers was so at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(u32);

impl Moment {
    pub(super) const FIRST: Self = Self(0);

    pub(super) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// What is known of a stream.
pub(super) enum Knowledge<D: Domain> {
    /// Nothing yet, or no longer.
    Missing,
    /// Its state.
    Held(Held<D>),
    /// That its stored events make no state.
    Unreadable,
}

/// The state before the batch touched it.
struct Base<D: Domain> {
    state: D::State,
    version: Version,
}

struct Slot<D: Domain> {
    stream_id: StreamId,
    knowledge: Knowledge<D>,
    /// There where the batch has put events on top that are not stored yet.
    base: Option<Base<D>>,
    /// Whether the append being made stores a snapshot of it.
    snapshot_on_the_way: bool,
    /// When the store said that this is the state, where nothing was put on top since.
    seen_at: Option<Moment>,
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

    /// The slot of a stream; takes its state from the cache where it is held there.
    pub(super) fn slot_of(&mut self, stream_id: &StreamId, cache: &mut StateCache<D>) -> SlotId {
        if let Some(id) = self.by_stream.get(stream_id) {
            return *id;
        }
        let id = SlotId(self.slots.len());
        self.slots.push(Slot {
            stream_id: stream_id.clone(),
            knowledge: cache.take(stream_id).map_or(Knowledge::Missing, Knowledge::Held),
            base: None,
            snapshot_on_the_way: false,
            seen_at: None,
        });
        self.by_stream.insert(stream_id.clone(), id);
        id
    }

    /// Puts what is known into the cache, for the next batch.
    pub(super) fn give_back(&mut self, cache: &mut StateCache<D>) {
        self.roll_back();
        for slot in self.slots.drain(..) {
            if let Knowledge::Held(held) = slot.knowledge {
                cache.put(slot.stream_id, held);
            }
        }
        self.by_stream.clear();
    }

    pub(super) fn stream_id(&self, id: SlotId) -> &StreamId {
        &self.slots[id.0].stream_id
    }

    pub(super) fn is_missing(&self, id: SlotId) -> bool {
        matches!(self.slots[id.0].knowledge, Knowledge::Missing)
    }

    pub(super) fn is_readable(&self, id: SlotId) -> bool {
        matches!(self.slots[id.0].knowledge, Knowledge::Held(_))
    }

    /// The version with everything that the batch has put on top; [`Version::NONE`] where the state is not held.
    pub(super) fn version(&self, id: SlotId) -> Version {
        match &self.slots[id.0].knowledge {
            Knowledge::Held(held) => held.version,
            Knowledge::Missing | Knowledge::Unreadable => Version::NONE,
        }
    }

    /// What a load has found, and when.
    pub(super) fn learn(&mut self, id: SlotId, knowledge: Knowledge<D>, seen_at: Option<Moment>) {
        let slot = &mut self.slots[id.0];
        slot.knowledge = knowledge;
        slot.seen_at = seen_at;
        slot.base = None;
    }

    /// The state, to take in what others have stored. Not while the batch has something on top of it.
    pub(super) fn held_mut(&mut self, id: SlotId) -> Option<&mut Held<D>> {
        match &mut self.slots[id.0] {
            Slot { knowledge: Knowledge::Held(held), base: None, .. } => Some(held),
            _ => None,
        }
    }

    /// The store said at `moment` that this is the state.
    pub(super) fn mark_seen(&mut self, id: SlotId, moment: Moment) {
        self.slots[id.0].seen_at = Some(moment);
    }

    /// Whether the store said at `moment` that these are the states, and nothing was put on top since.
    pub(super) fn seen_together(&self, ids: &[SlotId], moment: Moment) -> bool {
        ids.iter().all(|id| self.slots[id.0].seen_at == Some(moment))
    }

    /// Asks the domain. The states are as they were afterwards.
    pub(super) fn decide(
        &mut self,
        ids: &[SlotId],
        command: &D::Command,
    ) -> Result<Vec<(usize, D::Event)>, D::Refusal> {
        if let [only] = ids
            && let Knowledge::Held(held) = &self.slots[only.0].knowledge
        {
            return D::decide(slice::from_ref(&held.state), command);
        }
        // The domain wants the states side by side, so they are moved there and back; nothing is copied. Streams of a command are
        // distinct, so none is moved twice.
        let states: Vec<D::State> = ids.iter().map(|id| self.exchange(*id, D::State::default())).collect();
        let decision = D::decide(&states, command);
        for (id, state) in ids.iter().zip(states) {
            self.exchange(*id, state);
        }
        decision
    }

    fn exchange(&mut self, id: SlotId, other: D::State) -> D::State {
        match &mut self.slots[id.0].knowledge {
            Knowledge::Held(held) => mem::replace(&mut held.state, other),
            Knowledge::Missing | Knowledge::Unreadable => other,
        }
    }

    /// Puts an event on top, and says which version it has. The state is copied at the first one of a batch, for the way back.
    pub(super) fn put_on_top(&mut self, id: SlotId, event: &D::Event) -> Version {
        let slot = &mut self.slots[id.0];
        let Knowledge::Held(held) = &mut slot.knowledge else {
            return Version::NONE;
        };
        if slot.base.is_none() {
            slot.base = Some(Base { state: held.state.clone(), version: held.version });
        }
        slot.seen_at = None;
        D::evolve(&mut held.state, event);
        held.version = held.version.next();
        held.version
    }

    /// Snapshots of the streams that have grown by `every` events since their last one.
    pub(super) fn snapshots(&mut self, every: usize) -> Vec<Snapshot> {
        let mut snapshots = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.base.is_some()) {
            let Knowledge::Held(held) = &slot.knowledge else { continue };
            let grown = held.version.number().saturating_sub(held.snapshot_version.number());
            slot.snapshot_on_the_way = usize::try_from(grown).is_ok_and(|grown| grown >= every);
            if slot.snapshot_on_the_way {
                snapshots.push(Snapshot {
                    stream_id: slot.stream_id.clone(),
                    version: held.version,
                    format: D::SNAPSHOT_FORMAT,
                    state: D::encode_snapshot(&held.state),
                });
            }
        }
        snapshots
    }

    /// What was put on top is stored.
    pub(super) fn keep(&mut self) {
        for slot in &mut self.slots {
            slot.base = None;
            if mem::take(&mut slot.snapshot_on_the_way)
                && let Knowledge::Held(held) = &mut slot.knowledge
            {
                held.snapshot_version = held.version;
            }
        }
    }

    /// What was put on top is not stored, and will not be.
    pub(super) fn roll_back(&mut self) {
        for slot in &mut self.slots {
            slot.snapshot_on_the_way = false;
            if let (Some(base), Knowledge::Held(held)) = (slot.base.take(), &mut slot.knowledge) {
                held.state = base.state;
                held.version = base.version;
            }
        }
    }

    /// What was put on top may be stored or not: these streams are to be loaded again.
    pub(super) fn forget_touched(&mut self) {
        for slot in &mut self.slots {
            slot.snapshot_on_the_way = false;
            if slot.base.take().is_some() {
                slot.knowledge = Knowledge::Missing;
                slot.seen_at = None;
            }
        }
    }

    /// The stream is to be loaded again.
    pub(super) fn forget(&mut self, stream_id: &StreamId) {
        if let Some(id) = self.by_stream.get(stream_id) {
            self.learn(*id, Knowledge::Missing, None);
        }
    }
}
