//! Test units, and the way in which a caller must store them.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use crate::{
    ports::{AppendOutcome, AppendUnit, Effect, EventStore, Snapshot, StoredRequest, StreamLoad},
    testing::{
        TestEnv,
        support::{ATTEMPTS_MAX, SuiteRun},
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
    // Not valid UTF-8, to catch a store that treats payloads as text.
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

/// Loads a whole stream.
pub(super) fn from_start(stream_id: &StreamId) -> StreamLoad {
    StreamLoad { stream_id: stream_id.clone(), known_version: Version::NONE }
}

/// Rejection of a batch that no earlier attempt has stored.
pub(super) struct Rejection {
    pub(super) conflicts: Vec<(StreamId, u32, u32)>,
    pub(super) done: Vec<StoredRequest>,
}

impl<P: TestEnv<Handle: EventStore>> SuiteRun<'_, P> {
    pub(super) fn unit(&self, events: Vec<NewEvent>) -> AppendUnit {
        let request_id = self.request_id();
        let fingerprint = Fingerprint::of("test", request_id.as_bytes());
        let traceparent = Some(Arc::from(format!("00-{:032x}-00f067aa0ba902b7-01", self.seed())));
        AppendUnit { request_id, fingerprint, events, metadata: EventMetadata { traceparent } }
    }

    /// Stores a batch as a caller must: repeats it while the effect is unknown, and then counts requests that are done
    /// as stored.
    pub(super) async fn try_store(
        &self,
        store: &P::Handle,
        units: &[AppendUnit],
        snapshots: &[Snapshot],
    ) -> Result<Vec<Receipt>, Rejection> {
        let mut is_outcome_unknown = false;
        for _ in 0..ATTEMPTS_MAX {
            match store.append(units, snapshots).await {
                Ok(AppendOutcome::Committed(receipts)) => {
                    check_receipts(store, units, &receipts);
                    return Ok(receipts);
                }
                Ok(AppendOutcome::Rejected { conflicts, done }) => {
                    assert!(
                        !conflicts.is_empty() || !done.is_empty(),
                        "a rejection must have a conflict or a stored request"
                    );
                    let receipts = receipts_of(units, &done);
                    if is_outcome_unknown && let Some(receipts) = receipts {
                        check_receipts(store, units, &receipts);
                        return Ok(receipts);
                    }
                    let conflicts = conflicts
                        .into_iter()
                        .map(|conflict| (conflict.stream_id, conflict.expected.number(), conflict.actual.number()))
                        .collect();
                    return Err(Rejection { conflicts, done });
                }
                Err(error) if self.is_fault_free() => panic!("append: {error}"),
                Err(error) => is_outcome_unknown |= error.effect() == Effect::Unknown,
            }
            yield_now().await;
        }
        panic!("append failed {ATTEMPTS_MAX} times");
    }

    /// Stores a batch that must be accepted.
    pub(super) async fn store(&self, store: &P::Handle, units: &[AppendUnit]) -> Vec<Receipt> {
        match self.try_store(store, units, &[]).await {
            Ok(receipts) => receipts,
            Err(rejection) => panic!("the batch was rejected: {:?}", rejection.conflicts),
        }
    }

    /// Tries to store a batch that must be rejected.
    pub(super) async fn expect_rejection(&self, store: &P::Handle, units: &[AppendUnit]) -> Rejection {
        match self.try_store(store, units, &[]).await {
            Ok(receipts) => panic!("a batch that must be rejected was stored: {receipts:?}"),
            Err(rejection) => rejection,
        }
    }

    /// Repeats a stored batch.
    pub(super) async fn repeat(&self, store: &P::Handle, units: &[AppendUnit]) -> Vec<StoredRequest> {
        match self.retry("append", async || store.append(units, &[]).await).await {
            AppendOutcome::Committed(receipts) => panic!("a repeated batch was stored again: {receipts:?}"),
            AppendOutcome::Rejected { done, .. } => done,
        }
    }

    /// All events of a stream.
    pub(super) async fn load_events(&self, store: &P::Handle, stream_id: &StreamId) -> Vec<RecordedEvent> {
        let loaded = self.retry("load", async || store.load(&[from_start(stream_id)], u32::MAX, &[]).await).await;
        assert_eq!(loaded.streams.len(), 1, "one result per stream");
        loaded.streams.into_iter().flat_map(|slice| slice.events).collect()
    }

    pub(super) async fn find_request(&self, store: &P::Handle, request_id: RequestId) -> Option<StoredRequest> {
        let loaded = self.retry("load", async || store.load(&[], FORMAT, &[request_id]).await).await;
        assert!(loaded.requests.len() <= 1, "a request is stored once");
        loaded.requests.into_iter().next()
    }

    /// Reads everything after a position page by page, and checks each page.
    pub(super) async fn read_all_after(
        &self,
        store: &P::Handle,
        cursor: Position,
        limit: usize,
    ) -> (Vec<RecordedEvent>, Position) {
        let (mut all, mut cursor) = (Vec::new(), cursor);
        loop {
            let page = self.retry("read_after", async || store.read_after(cursor, limit).await).await;
            check_page(&page.events, cursor, page.complete_up_to, limit);
            let is_full = page.events.len() == limit;
            all.extend(page.events);
            cursor = page.complete_up_to;
            if !is_full {
                return (all, cursor);
            }
        }
    }
}

/// Checks the rules that hold for every page.
#[track_caller]
pub(super) fn check_page(events: &[RecordedEvent], cursor: Position, complete_up_to: Position, limit: usize) {
    assert!(events.len() <= limit, "{} events are more than {limit}", events.len());
    let mut before = cursor;
    for event in events {
        assert!(event.position > before, "position {} does not come after {before}", event.position);
        before = event.position;
    }
    assert!(complete_up_to >= before, "the page is complete up to {complete_up_to}, but its last event is at {before}");
    if events.len() == limit {
        assert_eq!(complete_up_to, before, "a page cut at the limit is complete up to its last event");
    }
}

/// Checks that receipts match their units.
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
        let stream_version = |stream: &StreamReceipt| (stream.stream_id.clone(), stream.version);
        assert_eq!(
            receipt.streams.iter().map(stream_version).collect::<Vec<_>>(),
            versions,
            "streams come in the order of first write"
        );
        for stream in &receipt.streams {
            assert_eq!(stream.partition, store.partitions().of(&stream.stream_id));
            assert!(stream.position > Position::START, "no event is at the start position");
        }
        let positions: HashSet<_> = receipt.streams.iter().map(|stream| stream.position).collect();
        assert_eq!(positions.len(), receipt.streams.len(), "every event has a distinct position");
    }
}

/// The receipts of a batch, if all of its requests are stored.
fn receipts_of(units: &[AppendUnit], done: &[StoredRequest]) -> Option<Vec<Receipt>> {
    let find = |unit: &AppendUnit| {
        let same =
            |stored: &&StoredRequest| stored.request_id == unit.request_id && stored.fingerprint == unit.fingerprint;
        done.iter().find(same).and_then(StoredRequest::receipt).cloned()
    };
    units.iter().map(find).collect()
}
