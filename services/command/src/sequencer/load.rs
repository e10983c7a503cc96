//! Loading of the streams that a batch needs and the cache does not hold.

use std::collections::HashSet;

use diptych_kernel::{
    RecordedEvent, RequestId, StreamId, Version,
    domain::Domain,
    ports::{EventStore, Loaded, StreamLoad, StreamSlice},
};
use tracing::{error, warn};

use super::{
    batch::{BatchEntry, CommandBatch},
    states::{CachedState, ReplayError},
    store_access::StoreAccess,
    working_set::{SlotId, SlotState, WorkingSet},
};
use crate::retry_until::{RetryError, RetryUntil};

/// The number of events in one read of a stream whose snapshot cannot be read.
const EVENTS_PER_READ_MAX: usize = 1_024;

/// The number of streams in one load: with up to 256 events each since their snapshots, a load takes a fraction of the
/// statement timeout of the write database, also from a cold disk.
const STREAMS_PER_LOAD_MAX: usize = 128;

/// The streams and request ids of one load. Its result shows one moment.
struct LoadRequest {
    slots: Vec<SlotId>,
    streams: Vec<StreamLoad>,
    request_ids: Vec<RequestId>,
    requested: HashSet<SlotId>,
}

impl LoadRequest {
    /// An empty request.
    fn new() -> Self {
        Self { slots: Vec::new(), streams: Vec::new(), request_ids: Vec::new(), requested: HashSet::new() }
    }

    /// The request of the next piece: of the active commands from `next_entry` on that need a load, as many as name
    /// [`STREAMS_PER_LOAD_MAX`] streams, give or take a command.
    fn next_piece<D: Domain>(batch: &CommandBatch<D>, next_entry: &mut usize) -> Self {
        let mut request = Self::new();
        let needs_load = |slot| batch.working_set.needs_load(slot);
        while let Some(entry) = batch.entries.get(*next_entry) {
            if request.streams.len() >= STREAMS_PER_LOAD_MAX {
                break;
            }
            *next_entry += 1;
            if entry.is_open() && entry.slots.iter().copied().any(needs_load) {
                request.add(entry, &batch.working_set, needs_load);
            }
        }
        request
    }

    /// Returns whether the request has no entry.
    fn is_empty(&self) -> bool {
        self.request_ids.is_empty()
    }

    /// Adds an entry's request id, and those of its streams that satisfy `is_needed` and are not in the request yet,
    /// each from the version after the one in the working set.
    fn add<D: Domain>(
        &mut self,
        entry: &BatchEntry<D>,
        working_set: &WorkingSet<D>,
        is_needed: impl Fn(SlotId) -> bool,
    ) {
        self.request_ids.push(entry.request_id);
        for slot in entry.slots.iter().copied().filter(|slot| is_needed(*slot)) {
            if self.requested.insert(slot) {
                let (stream_id, known_version) = (working_set.stream_id(slot).clone(), working_set.version(slot));
                self.slots.push(slot);
                self.streams.push(StreamLoad { stream_id, known_version });
            }
        }
    }
}

impl<S: EventStore> StoreAccess<S> {
    /// Loads the streams that the active commands need, and looks up the request ids of the commands on them in the
    /// same calls: commands whose outcome is stored already get their reply at once.
    ///
    /// Many streams, as after a cold start, are loaded in pieces, each with a deadline of its own. What was loaded
    /// before a piece fails is kept. Returns the deadline for the next step.
    pub(super) async fn load_missing<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        retry: RetryUntil,
    ) -> Result<RetryUntil, RetryError> {
        let (mut retry, mut next_entry) = (retry, 0);
        loop {
            let request = LoadRequest::next_piece(batch, &mut next_entry);
            if request.is_empty() {
                return Ok(retry);
            }
            self.load_piece(batch, &request, retry).await?;
            retry = retry.renewed();
        }
    }

    async fn load_piece<D: Domain>(
        &self,
        batch: &mut CommandBatch<D>,
        request: &LoadRequest,
        retry: RetryUntil,
    ) -> Result<(), RetryError> {
        let loaded = self.load(batch, request, retry).await?;
        for (slot, slice) in request.slots.iter().zip(&loaded.streams) {
            let known = batch.working_set.take_stale(*slot);
            batch.loaded.push((slice.stream_id.clone(), is_changed(slice)));
            let state = self.rebuild::<D>(known, slice, retry).await?;
            batch.working_set.set(*slot, state);
        }
        batch.reply_stored(loaded.requests, true);
        Ok(())
    }

    /// Loads until it succeeds; the result has one slice per stream.
    async fn load<D: Domain>(
        &self,
        batch: &CommandBatch<D>,
        request: &LoadRequest,
        retry: RetryUntil,
    ) -> Result<Loaded, RetryError> {
        let (streams, requests) = (&request.streams, &request.request_ids);
        let load = || self.breaker.observe(self.store.load(streams, D::SNAPSHOT_FORMAT, requests));
        let loaded = retry.run("load", || batch.is_abandoned(), load).await.map_err(RetryError::of_read)?.value;
        if loaded.streams.len() != request.streams.len() {
            let (requested, returned) = (request.streams.len(), loaded.streams.len());
            error!(requested, returned, "the write database returned a wrong number of streams");
            return Err(RetryError::Internal);
        }
        self.metrics.record_loaded(loaded.streams.iter().map(|slice| slice.events.len()).sum());
        Ok(loaded)
    }

    /// Rebuilds the state of a stream from its known state or its newest snapshot, and the events after it.
    async fn rebuild<D: Domain>(
        &self,
        known: Option<CachedState<D>>,
        slice: &StreamSlice,
        retry: RetryUntil,
    ) -> Result<SlotState<D>, RetryError> {
        let start = match (&slice.snapshot, known) {
            (None, known) => Ok(known.unwrap_or_else(CachedState::empty)),
            (Some(snapshot), _) => CachedState::from_snapshot(snapshot),
        };
        match start {
            Ok(mut state) => {
                let readable = apply_all(&slice.stream_id, &mut state, &slice.events);
                Ok(if readable { SlotState::Loaded(state) } else { SlotState::Unreadable })
            }
            Err(error) => {
                let stream_id = &slice.stream_id;
                warn!(%stream_id, %error, "a snapshot cannot be read, reading all events of the stream");
                self.rebuild_from_events(stream_id, retry).await
            }
        }
    }

    async fn rebuild_from_events<D: Domain>(
        &self,
        stream_id: &StreamId,
        retry: RetryUntil,
    ) -> Result<SlotState<D>, RetryError> {
        let mut state = CachedState::<D>::empty();
        loop {
            let after: Version = state.version;
            let read = || self.breaker.observe(self.store.read_stream_after(stream_id, after, EVENTS_PER_READ_MAX));
            let events = retry.run("read stream", || false, read).await.map_err(RetryError::of_read)?.value;
            self.metrics.record_loaded(events.len());
            if events.is_empty() {
                return Ok(SlotState::Loaded(state));
            }
            if !apply_all(stream_id, &mut state, &events) {
                return Ok(SlotState::Unreadable);
            }
        }
    }
}

/// Returns whether a load found events. A stream that was empty may have grown so much that it is loaded as a snapshot.
fn is_changed(slice: &StreamSlice) -> bool {
    slice.snapshot.is_some() || !slice.events.is_empty()
}

/// Applies stored events to a state. Returns `false`, and logs why, if one cannot be read.
fn apply_all<D: Domain>(stream_id: &StreamId, state: &mut CachedState<D>, events: &[RecordedEvent]) -> bool {
    for record in events {
        if let Err(error) = state.apply(record) {
            log_unreadable(stream_id, record, &error);
            return false;
        }
    }
    true
}

fn log_unreadable(stream_id: &StreamId, record: &RecordedEvent, error: &ReplayError) {
    error!(
        %stream_id,
        position = record.position.as_i64(),
        version = record.version.number(),
        event_type = %record.event_type,
        %error,
        "a stored event cannot be read, commands on its stream fail with an internal error"
    );
}
