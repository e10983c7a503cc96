//! Histories: copies of a folder that go their own ways, and tokens of commands that a restore lost.

use std::path::Path;

use diptych_kernel::{
    Position, StreamId, Token,
    ports::{EventLog, EventStore, LogEntry, Progress, ProgressStore, ProgressUpdate},
    vocabulary::TokenError,
};

use super::{
    fixtures::{append, copy, count, is_database, open, open_events, try_open},
    test_env::sixteen,
};
use crate::{Embedded, rebase};

/// The token of a command whose event has this position.
fn token(databases: &Embedded, position: Position) -> String {
    let partition = sixteen().of(&StreamId::new("s").unwrap());
    databases.tokens.encode(&[(partition, position)].into_iter().collect())
}

fn decode(databases: &Embedded, token: &str) -> Result<Token, TokenError> {
    databases.tokens.decode(token, sixteen())
}

/// Publishes and projects all events.
async fn follow(databases: &Embedded) {
    let events = databases.events.read_after(Position::START, 1_000).await.unwrap().events;
    let last = events.last().unwrap().clone();
    databases.log.append(&events.into_iter().map(LogEntry::Event).collect::<Vec<_>>()).await.unwrap();
    let progress = Progress { position: last.position, ..Progress::default() };
    let view = diptych_kernel::domain::ViewId { name: "things", generation: 1 };
    databases.views.save(&[ProgressUpdate { view, partition: last.partition, progress }]).await.unwrap();
}

fn refusal(folder: &Path) -> String {
    try_open(folder).err().expect("it is refused").to_string()
}

#[tokio::test]
async fn a_token_survives_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let databases = open(folder.path());
    let position = append(&databases.events, 1, 1).await;
    let token = token(&databases, position);
    drop(databases);
    for _ in 0..3 {
        assert!(decode(&open(folder.path()), &token).is_ok());
    }
}

#[tokio::test]
async fn a_token_of_another_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (one, other) = (open(&parent.path().join("one")), open(&parent.path().join("other")));
    let position = append(&one.events, 1, 1).await;
    append(&other.events, 1, 1).await;
    assert!(decode(&other, &token(&one, position)).is_err());
}

#[tokio::test]
async fn a_token_of_a_command_that_a_restored_copy_lacks_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let (data, backup) = (parent.path().join("data"), parent.path().join("backup"));
    let databases = open(&data);
    let position = append(&databases.events, 1, 1).await;
    let kept = token(&databases, position);
    drop(databases);
    copy(&data, &backup, is_database);
    let databases = open(&data);
    let position = append(&databases.events, 2, 1).await;
    let lost = token(&databases, position);
    drop(databases);

    let restored = open(&backup);
    // It gets the same position as the lost one.
    assert_eq!(append(&restored.events, 2, 1).await, position);
    assert!(decode(&restored, &kept).is_ok());
    assert_eq!(decode(&restored, &lost), Err(TokenError::OtherHistory));
}

#[tokio::test]
async fn an_older_write_database_stays_refused_however_many_events_it_gets() {
    let parent = tempfile::tempdir().unwrap();
    let (data, backup) = (parent.path().join("data"), parent.path().join("backup"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    follow(&databases).await;
    drop(databases);
    copy(&data, &backup, |name| name == "events.db");
    drop(open(&data));

    // Nothing that the other files hold is missing, but they follow a history that began after the copy.
    copy(&backup, &data, |name| name == "events.db");
    assert!(refusal(&data).contains("follows the history"), "{}", refusal(&data));
    let events = open_events(&data, &Default::default());
    for version in 2..5 {
        append(&events, version, 1).await;
    }
    drop(events);
    let error = refusal(&data);
    assert!(error.contains("follows the history") && error.contains("diptych rebase --data"), "{error}");
}

#[tokio::test]
async fn a_rebase_goes_on_without_the_lost_commands() {
    let parent = tempfile::tempdir().unwrap();
    let (data, backup) = (parent.path().join("data"), parent.path().join("backup"));
    let databases = open(&data);
    let first = append(&databases.events, 1, 1).await;
    let kept = token(&databases, first);
    follow(&databases).await;
    drop(databases);
    copy(&data, &backup, |name| name == "events.db");
    let databases = open(&data);
    let second = append(&databases.events, 2, 1).await;
    let lost = token(&databases, second);
    follow(&databases).await;
    drop(databases);
    copy(&backup, &data, |name| name == "events.db");
    assert!(refusal(&data).contains("log.db has version 2 of stream s"), "{}", refusal(&data));

    assert_eq!(rebase(&data).unwrap().last_position, first);
    let databases = open(&data);
    assert_eq!(count(&databases.events).await, 1);
    assert!(databases.log.ends().await.unwrap().iter().all(|end| end.last_event.is_none()), "it is filled again");
    append(&databases.events, 2, 1).await;
    assert!(decode(&databases, &kept).is_ok());
    assert_eq!(decode(&databases, &lost), Err(TokenError::OtherHistory));
}

#[tokio::test]
async fn a_rebase_ends_a_suspension() {
    let folder = tempfile::tempdir().unwrap();
    let databases = open(folder.path());
    append(&databases.events, 1, 1).await;
    databases.events.suspend_appends("the database went back").await.unwrap();
    drop(databases);
    rebase(folder.path()).unwrap();
    append(&open(folder.path()).events, 2, 1).await;
}

#[tokio::test]
async fn a_rebase_keeps_the_events_of_a_write_ahead_log() {
    let parent = tempfile::tempdir().unwrap();
    let (data, killed, bare) = (parent.path().join("data"), parent.path().join("killed"), parent.path().join("bare"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    append(&databases.events, 2, 1).await;
    copy(&data, &killed, |name| is_database(name) || name.ends_with("-wal"));
    copy(&data, &bare, is_database);
    rebase(&killed).unwrap();
    assert_eq!(count(&open(&killed).events).await, 2);
    let error = rebase(&bare).unwrap_err().to_string();
    assert!(error.contains("events.db-wal is missing"), "{error}");
    assert!(bare.join("log.db").exists(), "nothing is deleted");
}

#[test]
fn a_folder_without_a_write_database_is_not_rebased() {
    let folder = tempfile::tempdir().unwrap();
    let error = rebase(folder.path()).unwrap_err().to_string();
    assert!(error.contains("has no events.db"), "{error}");
}
