//! Stream states, and the cache that keeps them between batches.

use std::num::NonZeroUsize;

use diptych_kernel::{
    RecordedEvent, StreamId, Version,
    domain::{DecodeError, Domain},
    ports::Snapshot,
};
use lru::LruCache;

/// The state of a stream at a version. It may be stale: other processes write too.
#[derive(Debug)]
pub(crate) struct CachedState<D: Domain> {
    pub(crate) state: D::State,
    pub(crate) version: Version,
    /// The version of the newest snapshot that is known to be stored, or [`Version::NONE`].
    pub(super) snapshot_version: Version,
}

/// Error for a state that cannot be rebuilt from stored events.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    /// An event cannot be decoded.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// Versions must be dense, and are not.
    #[error("version {expected} is missing before version {found}")]
    VersionMissing { expected: Version, found: Version },
}

impl<D: Domain> CachedState<D> {
    /// The state of a stream without events.
    pub(super) fn empty() -> Self {
        Self { state: D::State::default(), version: Version::NONE, snapshot_version: Version::NONE }
    }

    /// The state of a stream at a snapshot.
    pub(super) fn from_snapshot(snapshot: &Snapshot) -> Result<Self, DecodeError> {
        let state = D::decode_snapshot(&snapshot.state)?;
        Ok(Self { state, version: snapshot.version, snapshot_version: snapshot.version })
    }

    /// Applies the next stored event. On an error nothing is changed.
    pub(super) fn apply(&mut self, record: &RecordedEvent) -> Result<(), ReplayError> {
        let expected = self.version.next();
        if record.version != expected {
            return Err(ReplayError::VersionMissing { expected, found: record.version });
        }
        let event = D::decode_event(&record.event_type, &record.payload)?;
        D::evolve(&mut self.state, &event);
        self.version = expected;
        Ok(())
    }
}

/// A cache of a bounded number of states, which drops the least recently used.
pub(crate) struct StateCache<D: Domain> {
    states: LruCache<StreamId, CachedState<D>>,
}

impl<D: Domain> StateCache<D> {
    pub(crate) fn new(states_max: usize) -> Self {
        Self { states: LruCache::new(NonZeroUsize::new(states_max).unwrap_or(NonZeroUsize::MIN)) }
    }

    /// A copy of a state, for a batch, which puts it back or takes it out at its end.
    pub(super) fn get(&mut self, stream_id: &StreamId) -> Option<CachedState<D>> {
        let CachedState { state, version, snapshot_version } = self.states.get(stream_id)?;
        Some(CachedState { state: state.clone(), version: *version, snapshot_version: *snapshot_version })
    }

    /// Takes a state out. It is loaded next time.
    pub(super) fn take(&mut self, stream_id: &StreamId) -> Option<CachedState<D>> {
        self.states.pop(stream_id)
    }

    /// The state of a stream, which stays.
    pub(crate) fn peek(&self, stream_id: &StreamId) -> Option<&CachedState<D>> {
        self.states.peek(stream_id)
    }

    pub(super) fn put(&mut self, stream_id: StreamId, state: CachedState<D>) {
        self.states.put(stream_id, state);
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }
}
