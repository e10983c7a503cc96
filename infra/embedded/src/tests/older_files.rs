//! Folders whose files do not belong together: an older write database, or one without its write-ahead log.

use diptych_kernel::{
    Position, RecordedEvent,
    domain::ViewId,
    ports::{EventLog, EventStore, LogEntry, Progress, ProgressStore, ProgressUpdate},
};

use rusqlite::Connection;

use super::fixtures::{append, copy, count, is_database, open, try_open};
use crate::Embedded;

async fn newest(databases: &Embedded) -> RecordedEvent {
    databases.events.read_after(Position::START, 1_000).await.unwrap().events.pop().unwrap()
}

async fn publish(databases: &Embedded) {
    databases.log.append(&[LogEntry::Event(newest(databases).await)]).await.unwrap();
}

async fn project(databases: &Embedded) {
    let RecordedEvent { partition, position, .. } = newest(databases).await;
    let progress = Progress { position, ..Progress::default() };
    let view = ViewId { name: "things", generation: 1 };
    databases.views.save(&[ProgressUpdate { view, partition, progress }]).await.unwrap();
}

#[tokio::test]
async fn a_copy_of_a_running_process_without_its_write_ahead_log_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (data, bare, whole) = (parent.path().join("data"), parent.path().join("bare"), parent.path().join("whole"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    append(&databases.events, 2, 1).await;
    copy(&data, &bare, is_database);
    copy(&data, &whole, |name| is_database(name) || name.ends_with("-wal"));
    for _ in 0..2 {
        let error = try_open(&bare).err().unwrap().to_string();
        assert!(error.contains("events.db-wal is missing") && error.contains("diptych backup"), "{error}");
    }
    assert_eq!(count(&open(&whole).events).await, 2);

    // After an orderly end the files are complete without a log.
    drop(databases);
    let closed = parent.path().join("closed");
    copy(&data, &closed, is_database);
    assert_eq!(count(&open(&closed).events).await, 2);
}

#[tokio::test]
async fn a_log_that_is_ahead_of_the_events_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (data, older) = (parent.path().join("data"), parent.path().join("older"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    publish(&databases).await;
    drop(databases);
    copy(&data, &older, |name| name == "events.db");
    let databases = open(&data);
    append(&databases.events, 2, 1).await;
    publish(&databases).await;
    drop(databases);

    copy(&older, &data, |name| name == "events.db");
    let refused = || try_open(&data).err().unwrap().to_string();
    let error = refused();
    assert!(error.contains("log.db has version 2 of stream s") && error.contains("is older than"), "{error}");
    assert!(error.contains("diptych rebase --data "), "{error}");
    assert_eq!(error, refused(), "the check changes nothing");
}

#[tokio::test]
async fn another_event_at_the_position_of_a_record_is_noticed() {
    let parent = tempfile::tempdir().unwrap();
    let (data, other) = (parent.path().join("data"), parent.path().join("other"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    publish(&databases).await;
    drop(databases);
    // The same position, version and stream, under the request id of another command.
    let databases = open(&other);
    append(&databases.events, 1, 1).await;
    drop(databases);
    let connection = Connection::open(other.join("events.db")).unwrap();
    connection.execute("UPDATE events SET request_id = randomblob(16)", []).unwrap();
    drop(connection);

    open(&data);
    copy(&other, &data, |name| name == "events.db");
    let error = try_open(&data).err().unwrap().to_string();
    assert!(error.contains("log.db has version 1 of stream s"), "{error}");
}

#[tokio::test]
async fn views_that_are_ahead_of_the_events_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (data, newer) = (parent.path().join("data"), parent.path().join("newer"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    project(&databases).await;
    drop(databases);
    copy(&data, &newer, is_database);
    let databases = open(&newer);
    append(&databases.events, 2, 1).await;
    project(&databases).await;
    drop(databases);

    copy(&newer, &data, |name| name == "views.db");
    let error = try_open(&data).err().unwrap().to_string();
    assert!(error.contains("view things_g1 in views.db has the events up to position"), "{error}");
}

/// As after a rollback: an earlier program finds files that a later one has migrated.
#[tokio::test]
async fn files_of_a_newer_program_are_used_unless_it_excludes_earlier_ones() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    drop(databases);
    for file in ["events.db", "log.db", "queue.db", "views.db"] {
        let migrate = |sql: &str| Connection::open(data.join(file)).unwrap().execute_batch(sql).unwrap();
        migrate("CREATE TABLE later (id INTEGER); PRAGMA user_version = 99");
        let databases = open(&data);
        assert_eq!(count(&databases.events).await, 1);
        drop(databases);

        migrate("UPDATE program_schema_min SET version = 98");
        let error = try_open(&data).err().unwrap().to_string();
        assert!(error.contains(&format!("{file} has schema 99, which programs for schema 98 or newer")), "{error}");
        assert!(error.contains("use a newer version"), "{error}");
        migrate("UPDATE program_schema_min SET version = 1");
    }
}
