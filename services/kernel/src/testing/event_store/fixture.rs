//! Units to store, and the way a caller has to store them.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use crate::{
    ports::{AppendOutcome, AppendUnit, Effect, EventStore, Snapshot, StoredRequest, StreamLoad},
    testing::{
        TestEnv,
        support::{ATTEMPTS_MAX, Trial},
        yield_now,
    },
    vocabulary::{
        EventMetadata, Fingerprint, NewEvent, Position, Receipt, RecordedEvent, RequestId, StreamId, StreamReceipt,
        Version,
    },
};

pub(super) const FORMAT: u32 = 1;

#[track_caller]
pub(super) fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

pub(super) fn event(stream_id: &StreamId, version: u32) -> NewEvent {
    // No text: a store that takes payloads for text is found out.
    let payload = Bytes::from(vec![0xff, 0, version.to_le_bytes()[0]]);
    NewEvent {
        stream_id: stream_id.clone(),
        version: Version::new(version),
        event_type: "test.Happened".into(),
        payload,
    }
}

pub(super) fn events(stream_id: &StreamId, versions: impl IntoIterator<Item = u32>) -> Vec<NewEvent> {
    versions.into_iter().map(|version| event(stream_id, version)).collect()
}

pub(super) fn snapshot(stream_id: &StreamId, version: u32, format: u32) -> Snapshot {
    let state = Bytes::from(format!("state of {stream_id} at {version} in format {format}"));
    Snapshot { stream_id: stream_id.clone(), version: Version::new(version), format, state }
}

/// All of a stream.
pub(super) fn from_start(stream_id: &StreamId) -> StreamLoad {
    StreamLoad { stream_id: stream_id.clone(), known_version: Version::NONE }
}

/// How a batch ended, where it is certain that it did not end otherwise before.
pub(super) struct Rejection {
    pub(super) conflicts: Vec<(StreamId, u32, u32)>,
    pub(super) done: Vec<StoredRequest>,
}

impl<P: TestEnv<Handle: EventStore>> Trial<'_, P> {
    pub(super) fn unit(&self, events: Vec<NewEvent>) -> AppendUnit {
        let request_id = self.request_id();
        let fingerprint = Fingerprint::of("test", request_id.as_bytes());
        let traceparent = Some(Arc::from(format!("00-{:032x}-00f067aa0ba902b7-01", self.seed())));
        AppendUnit { request_id, fingerprint, events, metadata: EventMetadata { traceparent } }
    }

    /// Stores a batch, as a caller has to: while the effect is unknown it is repeated, and requests that are done count as stored.
    pub(super) async fn try_store(
        &self,
        store: &P::Handle,
        units: &[AppendUnit],
        snapshots: &[Snapshot],
    ) -> Result<Vec<Receipt>, Rejection> {
        let mut in_doubt = false;
        for _ in 0..ATTEMPTS_MAX {
            match store.append(units, snapshots).await {
                Ok(AppendOutcome::Committed(receipts)) => {
                    check_receipts(store, units, &receipts);
                    return Ok(receipts);
                }
                Ok(AppendOutcome::Rejected { conflicts, done }) => {
                    assert!(!conflicts.is_empty() || !done.is_empty(), "a rejection says why");
                    let receipts = receipts_of(units, &done);
                    if in_doubt && let Some(receipts) = receipts {
                        check_receipts(store, units, &receipts);
                        return Ok(receipts);
                    }
                    let conflicts = conflicts
                        .into_iter()
                        .map(|conflict| (conflict.stream_id, conflict.expected.number(), conflict.actual.number()))
                        .collect();
                    return Err(Rejection { conflicts, done });
                }
                Err(error) if self.is_honest() => panic!("append: {error}"),
                Err(error) => in_doubt |= error.effect() == Effect::Unknown,
            }
            yield_now().await;
        }
        panic!("append failed {ATTEMPTS_MAX} times");
    }

    /// Stores a batch that nothing stands against.
    pub(super) async fn store(&self, store: &P::Handle, units: &[AppendUnit]) -> Vec<Receipt> {
        match self.try_store(store, units, &[]).await {
            Ok(receipts) => receipts,
            Err(rejection) => panic!("nothing stands against the batch, yet: {:?}", rejection.conflicts),
        }
    }

    /// Tries to store a batch that something stands against.
    pub(super) async fn store_in_vain(&self, store: &P::Handle, units: &[AppendUnit]) -> Rejection {
        match self.try_store(store, units, &[]).await {
            Ok(receipts) => panic!("a batch was stored that something stood against: {receipts:?}"),
            Err(rejection) => rejection,
        }
    }

    /// Repeats a batch that is stored already.
    pub(super) async fn repeat(&self, store: &P::Handle, units: &[AppendUnit]) -> Vec<StoredRequest> {
        match self.ask("append", async || store.append(units, &[]).await).await {
            AppendOutcome::Committed(receipts) => panic!("a repeated batch was stored again: {receipts:?}"),
            AppendOutcome::Rejected { done, .. } => done,
        }
    }

    /// All events of a stream.
    pub(super) async fn all_of(&self, store: &P::Handle, stream_id: &StreamId) -> Vec<RecordedEvent> {
        let loaded = self.ask("load", async || store.load(&[from_start(stream_id)], u32::MAX, &[]).await).await;
        assert_eq!(loaded.streams.len(), 1, "one answer per stream");
        loaded.streams.into_iter().flat_map(|slice| slice.events).collect()
    }

    pub(super) async fn find_request(&self, store: &P::Handle, request_id: RequestId) -> Option<StoredRequest> {
        let loaded = self.ask("load", async || store.load(&[], FORMAT, &[request_id]).await).await;
        assert!(loaded.requests.len() <= 1, "a request is stored once");
        loaded.requests.into_iter().next()
    }

    /// Everything after a position, in pieces, checked piece by piece.
    pub(super) async fn read_all_after(
        &self,
        store: &P::Handle,
        cursor: Position,
        limit: usize,
    ) -> (Vec<RecordedEvent>, Position) {
        let (mut all, mut cursor) = (Vec::new(), cursor);
        loop {
            let tail = self.ask("read_after", async || store.read_after(cursor, limit).await).await;
            check_piece(&tail.events, cursor, tail.complete_up_to, limit);
            let was_cut = tail.events.len() == limit;
            all.extend(tail.events);
            cursor = tail.complete_up_to;
            if !was_cut {
                return (all, cursor);
            }
        }
    }
}

/// Checks what holds for every piece of the tail.
#[track_caller]
pub(super) fn check_piece(events: &[RecordedEvent], cursor: Position, complete_up_to: Position, limit: usize) {
    assert!(events.len() <= limit, "{} events are more than {limit}", events.len());
    let mut before = cursor;
    for event in events {
        assert!(event.position > before, "position {} does not come after {before}", event.position);
        before = event.position;
    }
    assert!(complete_up_to >= before, "complete up to {complete_up_to}, but the piece reaches {before}");
    if events.len() == limit {
        assert_eq!(complete_up_to, before, "a piece cut at the limit is complete up to its last event");
    }
}

/// Checks that receipts are those of their units.
#[track_caller]
fn check_receipts<S: EventStore>(store: &S, units: &[AppendUnit], receipts: &[Receipt]) {
    assert_eq!(receipts.len(), units.len(), "one receipt per unit");
    for (unit, receipt) in units.iter().zip(receipts) {
        assert_eq!(receipt.request_id, unit.request_id, "receipts come in the order of the units");
        let mut versions: Vec<(StreamId, Version)> = Vec::new();
        for event in &unit.events {
            match versions.iter_mut().find(|known| known.0 == event.stream_id) {
                Some(known) => known.1 = event.version,
                None => versions.push((event.stream_id.clone(), event.version)),
            }
        }
        let told = |stream: &StreamReceipt| (stream.stream_id.clone(), stream.version);
        assert_eq!(
            receipt.streams.iter().map(told).collect::<Vec<_>>(),
            versions,
            "streams in the order of first touch"
        );
        for stream in &receipt.streams {
            assert_eq!(stream.partition, store.partitions().of(&stream.stream_id));
            assert!(stream.position > Position::START, "nothing stands at the start");
        }
        let positions: HashSet<_> = receipt.streams.iter().map(|stream| stream.position).collect();
        assert_eq!(positions.len(), receipt.streams.len(), "every event has a position of its own");
    }
}

/// The receipts of a batch, where all of it is done.
fn receipts_of(units: &[AppendUnit], done: &[StoredRequest]) -> Option<Vec<Receipt>> {
    let find = |unit: &AppendUnit| {
        let same = |stored: &&StoredRequest| {
            stored.receipt.request_id == unit.request_id && stored.fingerprint == unit.fingerprint
        };
        done.iter().find(same).map(|stored| stored.receipt.clone())
    };
    units.iter().map(find).collect()
}
