//! Checksums of events and snapshots.

use diptych_kernel::{
    Position, StreamId, Version,
    ports::{AppendOutcome, Damage, EventStore, Snapshot, StoredChecksums, StreamLoad, StreamSlice},
    vocabulary::Checksum,
};
use diptych_postgres::PostgresEventStore;

use crate::support::{
    appends::{stream, unit},
    with_database,
};

const FORMAT: u32 = 1;

fn snapshot(version: u32) -> Snapshot {
    Snapshot { stream_id: stream("s"), version: Version::new(version), format: FORMAT, state: "open".into() }
}

/// Appends a version of the stream, with a snapshot at it.
async fn append_with_snapshot(store: &PostgresEventStore, version: u32) {
    let outcome = store.append(&[unit("s", version)], &[snapshot(version)]).await.unwrap();
    assert!(matches!(outcome, AppendOutcome::Committed(_)), "{outcome:?}");
}

async fn load(store: &PostgresEventStore) -> StreamSlice {
    let wanted = StreamLoad { stream_id: stream("s"), known_version: Version::NONE };
    store.load(&[wanted], FORMAT, &[]).await.unwrap().streams.remove(0)
}

#[test]
fn an_edited_snapshot_is_not_loaded() {
    with_database(|database| async move {
        let store = database.open().await;
        append_with_snapshot(&store, 1).await;
        append_with_snapshot(&store, 2).await;
        assert_eq!(load(&store).await.snapshot, Some(snapshot(2)));
        database.execute("UPDATE snapshots SET state = 'shut'").await;
        let loaded = load(&store).await;
        assert_eq!((loaded.snapshot, loaded.events.len()), (None, 2), "the events from the start are loaded");
        // From before checksums.
        database.execute("UPDATE snapshots SET state = 'open', checksum = NULL").await;
        assert_eq!(load(&store).await.snapshot, Some(snapshot(2)));
    });
}

#[test]
fn every_edited_event_and_snapshot_is_found() {
    with_database(|database| async move {
        let store = database.open().await;
        for version in 1..=5 {
            append_with_snapshot(&store, version).await;
        }
        let page = store.compare_events(Position::START, 2).await.unwrap();
        assert_eq!((page.compared, page.damaged.len(), page.next.is_some()), (2, 0, true));
        database.execute("UPDATE events SET payload = '' WHERE version = 2").await;
        database.execute("UPDATE events SET event_type = 'test.Other' WHERE version = 3").await;
        database.execute("UPDATE events SET checksum = NULL WHERE version = 4").await;
        database.execute("UPDATE snapshots SET version = 4").await;
        let events = store.compare_events(Position::START, 100).await.unwrap();
        let version_of = |damage: &Damage| match damage {
            Damage::Event { version, .. } => version.number(),
            Damage::Snapshot { .. } => panic!("{damage:?}"),
        };
        let versions: Vec<u32> = events.damaged.iter().map(version_of).collect();
        assert_eq!((versions, events.compared, events.next), (vec![2, 3], 4, None));
        let snapshots = store.compare_snapshots(None, 100).await.unwrap();
        assert_eq!(snapshots.damaged, [Damage::Snapshot { stream_id: stream("s"), version: Version::new(4) }]);
        let after: Option<StreamId> = store.compare_snapshots(Some(&stream("s")), 100).await.unwrap().next;
        assert_eq!(after, None);
    });
}

#[test]
fn the_server_computes_the_same_checksums_as_this_program() {
    with_database(|database| async move {
        let store = database.open().await;
        append_with_snapshot(&store, 1).await;
        let event = store.read_stream_after(&stream("s"), Version::NONE, 1).await.unwrap().remove(0);
        let of_event = Checksum::of_event(
            event.position,
            event.version,
            event.request_id,
            &event.stream_id,
            &event.event_type,
            &event.payload,
        );
        let of_snapshot = Checksum::of_snapshot(Version::new(1), FORMAT, &stream("s"), b"open");
        let stored = |table: &str| format!("SELECT checksum FROM {table}");
        for (table, checksum) in [("events", of_event), ("snapshots", of_snapshot)] {
            let row = database.client.query_one(&stored(table), &[]).await.unwrap();
            assert_eq!(row.get::<_, Vec<u8>>(0), checksum.as_bytes(), "{table}");
        }
    });
}
