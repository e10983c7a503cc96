//! The states that are held between batches.

use std::num::NonZeroUsize;

use diptych_kernel::{
    RecordedEvent, StreamId, Version,
    domain::{DecodeError, Domain},
    ports::Snapshot,
};
use lru::LruCache;

/// The state of a stream at a version. It may be old: other processes write too.
#[derive(Clone, Debug)]
pub(super) struct Held<D: Domain> {
    pub(super) state: D::State,
    pub(super) version: Version,
    /// The newest snapshot that is known to be stored, or [`Version::NONE`].
    pub(super) snapshot_version: Version,
}

/// Why stored events make no state.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// An event cannot be decoded.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// Versions are dense; these are not.
    #[error("version {expected} is missing before version {found}")]
    Gap { expected: Version, found: Version },
}

impl<D: Domain> Held<D> {
    /// A stream without events.
    pub(super) fn nothing() -> Self {
        Self { state: D::State::default(), version: Version::NONE, snapshot_version: Version::NONE }
    }

    /// A stream at a snapshot.
    pub(super) fn at_snapshot(snapshot: &Snapshot) -> Result<Self, DecodeError> {
        let state = D::decode_snapshot(&snapshot.state)?;
        Ok(Self { state, version: snapshot.version, snapshot_version: snapshot.version })
    }

    /// Takes in the next stored event. Where it cannot, nothing is changed.
    pub(super) fn take_in(&mut self, record: &RecordedEvent) -> Result<(), Unreadable> {
        let expected = self.version.next();
        if record.version != expected {
            return Err(Unreadable::Gap { expected, found: record.version });
        }
        let event = D::decode_event(&record.event_type, &record.payload)?;
        D::evolve(&mut self.state, &event);
        self.version = expected;
        Ok(())
    }
}

/// A bounded number of states; those used longest ago go first.
pub(super) struct StateCache<D: Domain> {
    held: LruCache<StreamId, Held<D>>,
}

impl<D: Domain> StateCache<D> {
    pub(super) fn new(states_max: usize) -> Self {
        Self { held: LruCache::new(NonZeroUsize::new(states_max).unwrap_or(NonZeroUsize::MIN)) }
    }

    /// Lends a state to a batch. What is not put back is loaded next time, so that a batch that ends badly leaves nothing wrong behind.
    pub(super) fn take(&mut self, stream_id: &StreamId) -> Option<Held<D>> {
        self.held.pop(stream_id)
    }

    pub(super) fn put(&mut self, stream_id: StreamId, held: Held<D>) {
        self.held.put(stream_id, held);
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}
