//! Units to append, and calls with one unit.

use diptych_kernel::{
    Fingerprint, NewEvent, Receipt, RequestId, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, Conflict, EventStore, PortResult, StoredRequest, StreamLoad},
};
use diptych_postgres::PostgresEventStore;
use uuid::Uuid;

#[track_caller]
pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

/// A unit with a new request id and one event.
pub(crate) fn unit(stream_id: &str, version: u32) -> AppendUnit {
    let request_id = RequestId::from_uuid(Uuid::new_v4());
    let event = NewEvent {
        stream_id: stream(stream_id),
        version: Version::new(version),
        event_type: "test.Happened".into(),
        payload: vec![0xff, 0].into(),
    };
    AppendUnit {
        request_id,
        fingerprint: Fingerprint::of("test", request_id.as_bytes()),
        events: vec![event],
        metadata: Default::default(),
    }
}

/// Appends a unit that must be accepted.
pub(crate) async fn append_one(handle: &PostgresEventStore, unit: &AppendUnit) -> Receipt {
    match handle.append(std::slice::from_ref(unit), &[]).await.unwrap() {
        AppendOutcome::Committed(mut receipts) => receipts.remove(0),
        rejected => panic!("the append is rejected: {rejected:?}"),
    }
}

pub(crate) async fn try_append(handle: &PostgresEventStore, unit: &AppendUnit) -> PortResult<AppendOutcome> {
    handle.append(std::slice::from_ref(unit), &[]).await
}

/// Appends a unit that must be rejected.
pub(crate) async fn append_rejected(
    handle: &PostgresEventStore,
    unit: &AppendUnit,
) -> (Vec<Conflict>, Vec<StoredRequest>) {
    match try_append(handle, unit).await.unwrap() {
        AppendOutcome::Rejected { conflicts, done } => (conflicts, done),
        committed => panic!("the append is not rejected: {committed:?}"),
    }
}

pub(crate) async fn find_request(handle: &PostgresEventStore, unit: &AppendUnit) -> Option<StoredRequest> {
    handle.load(&[], 1, &[unit.request_id]).await.unwrap().requests.pop()
}

/// The versions of the events of a stream.
pub(crate) async fn stream_versions(handle: &PostgresEventStore, stream_id: &str) -> Vec<u32> {
    let wanted = StreamLoad { stream_id: stream(stream_id), known_version: Version::NONE };
    let loaded = handle.load(&[wanted], 1, &[]).await.unwrap();
    loaded.streams[0].events.iter().map(|event| event.version.number()).collect()
}
