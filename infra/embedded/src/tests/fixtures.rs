//! Events and folders for tests.

use std::{fs, path::Path, sync::Arc};

use diptych_kernel::{
    Clock, EventMetadata, Fingerprint, NewEvent, Position, RequestId, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, EventStore},
    testing::ManualClock,
};

use super::test_env::sixteen;
use crate::{Embedded, EmbeddedEventStore, Storage};

/// Opens a folder with a clock that stands still.
pub(crate) fn open(folder: &Path) -> Embedded {
    try_open(folder).unwrap()
}

pub(super) fn try_open(folder: &Path) -> diptych_kernel::ports::PortResult<Embedded> {
    Embedded::open(&Storage::Directory(folder.to_owned()), sixteen(), Arc::new(ManualClock::default()))
}

pub(super) fn open_events(folder: &Path, clock: &Arc<ManualClock>) -> EmbeddedEventStore {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    EmbeddedEventStore::open(&Storage::Directory(folder.to_owned()), sixteen(), clock).unwrap()
}

/// Appends version `version` of stream `s` with a payload of this size, under the request id of the same number.
pub(crate) async fn append(events: &EmbeddedEventStore, version: u32, payload_bytes: usize) -> Position {
    let event = NewEvent {
        stream_id: StreamId::new("s").unwrap(),
        version: Version::new(version),
        event_type: "test.Event".into(),
        payload: vec![7; payload_bytes].into(),
    };
    let unit = AppendUnit {
        request_id: request_id(version),
        fingerprint: Fingerprint::of("test", b""),
        events: vec![event],
        metadata: EventMetadata::default(),
    };
    match events.append(&[unit], &[]).await.unwrap() {
        AppendOutcome::Committed(receipts) => receipts[0].streams[0].position,
        rejected => panic!("{rejected:?}"),
    }
}

pub(super) fn request_id(number: u32) -> RequestId {
    RequestId::from_bytes(u128::from(number).to_be_bytes())
}

/// Returns the number of events.
pub(super) async fn count(events: &EmbeddedEventStore) -> usize {
    events.read_after(Position::START, 10_000).await.unwrap().events.len()
}

/// Copies the files whose names match to a folder, which is created.
pub(super) fn copy(from: &Path, to: &Path, is_copied: impl Fn(&str) -> bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if is_copied(&name) {
            fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

pub(super) fn is_database(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "db")
}
