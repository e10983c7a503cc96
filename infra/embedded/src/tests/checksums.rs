//! Checksums of events and snapshots.

use std::path::Path;

use diptych_kernel::{
    EventMetadata, Fingerprint, NewEvent, Position, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, Damage, EventStore, Snapshot, StoredChecksums, StreamLoad, StreamSlice},
};
use rusqlite::Connection;

use super::fixtures::{open, request_id};
use crate::EmbeddedEventStore;

const FORMAT: u32 = 1;

fn stream() -> StreamId {
    StreamId::new("s").unwrap()
}

/// Appends a version of the stream, with a snapshot at it.
async fn append_with_snapshot(events: &EmbeddedEventStore, version: u32) {
    let version_number = Version::new(version);
    let event = NewEvent {
        stream_id: stream(),
        version: version_number,
        event_type: "test.Happened".into(),
        payload: vec![7; 10].into(),
    };
    let unit = AppendUnit {
        request_id: request_id(version),
        fingerprint: Fingerprint::of("test", b""),
        events: vec![event],
        metadata: EventMetadata::default(),
    };
    let snapshot = Snapshot { stream_id: stream(), version: version_number, format: FORMAT, state: "open".into() };
    let outcome = events.append(&[unit], &[snapshot]).await.unwrap();
    assert!(matches!(outcome, AppendOutcome::Committed(_)), "{outcome:?}");
}

async fn load(events: &EmbeddedEventStore) -> StreamSlice {
    let wanted = StreamLoad { stream_id: stream(), known_version: Version::NONE };
    events.load(&[wanted], FORMAT, &[]).await.unwrap().streams.remove(0)
}

fn edit(folder: &Path, statement: &str) {
    let edited = Connection::open(folder.join("events.db")).unwrap().execute(statement, []).unwrap();
    assert_eq!(edited, 1, "{statement}");
}

#[tokio::test]
async fn an_edited_snapshot_is_not_loaded() {
    for edit_statement in [
        "UPDATE snapshots SET state = CAST('shut' AS BLOB)",
        "UPDATE snapshots SET version = 1",
        "UPDATE snapshots SET checksum = x'0102030405060708'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let databases = open(folder.path());
        append_with_snapshot(&databases.events, 1).await;
        append_with_snapshot(&databases.events, 2).await;
        let intact = load(&databases.events).await;
        assert_eq!((intact.snapshot.unwrap().version, intact.events.len()), (Version::new(2), 0));
        edit(folder.path(), edit_statement);
        let loaded = load(&databases.events).await;
        assert_eq!(loaded.snapshot, None, "{edit_statement}");
        assert_eq!(loaded.events.len(), 2, "the events from the start are loaded in its place");
    }
}

#[tokio::test]
async fn a_snapshot_from_before_checksums_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let databases = open(folder.path());
    append_with_snapshot(&databases.events, 1).await;
    edit(folder.path(), "UPDATE snapshots SET checksum = NULL");
    assert!(load(&databases.events).await.snapshot.is_some());
}

#[tokio::test]
async fn every_edited_event_and_snapshot_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let databases = open(folder.path());
    for version in 1..=5 {
        append_with_snapshot(&databases.events, version).await;
    }
    let page = databases.events.compare_events(Position::START, 2).await.unwrap();
    assert_eq!((page.compared, page.damaged.len()), (2, 0));
    assert!(page.next.is_some());
    edit(folder.path(), "UPDATE events SET payload = x'00' WHERE version = 2");
    edit(folder.path(), "UPDATE events SET event_type = 'test.Other' WHERE version = 3");
    edit(folder.path(), "UPDATE events SET checksum = NULL WHERE version = 4");
    edit(folder.path(), "UPDATE snapshots SET state = x'00'");
    let events = databases.events.compare_events(Position::START, 100).await.unwrap();
    let version_of = |damage: &Damage| match damage {
        Damage::Event { version, .. } => version.number(),
        Damage::Snapshot { .. } => panic!("{damage:?}"),
    };
    let versions: Vec<u32> = events.damaged.iter().map(version_of).collect();
    assert_eq!((versions, events.compared, events.next), (vec![2, 3], 4, None));
    let snapshots = databases.events.compare_snapshots(None, 100).await.unwrap();
    assert_eq!(snapshots.damaged, [Damage::Snapshot { stream_id: stream(), version: Version::new(5) }]);
    let after = databases.events.compare_snapshots(Some(&stream()), 100).await.unwrap();
    assert_eq!((after.compared, after.next), (0, None));
}
