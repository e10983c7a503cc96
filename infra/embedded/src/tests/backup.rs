//! Backups of folders, in use and not.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use diptych_kernel::{
    Position,
    ports::{EventLog, EventStore, LogEntry},
};

use super::fixtures::{append, copy, count, is_database, open, try_open};
use crate::{FolderLock, back_up};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_of_a_folder_in_use_has_every_acknowledged_event() {
    let parent = tempfile::tempdir().unwrap();
    let (data, target) = (parent.path().join("data"), parent.path().join("deep/backup ?#%41"));
    let _lock = FolderLock::acquire(&data).unwrap();
    let databases = open(&data);
    let mut last = Position::START;
    for version in 1..=50 {
        last = append(&databases.events, version, 100).await;
    }
    let page = databases.events.read_after(Position::START, 20).await.unwrap();
    databases.log.append(&page.events.into_iter().map(LogEntry::Event).collect::<Vec<_>>()).await.unwrap();

    let summary = back_up(&data, &target, false).unwrap();
    assert_eq!(summary.last_position, last);
    assert!(summary.last_event_at.is_some());
    assert_eq!(names(&target), ["events.db", "log.db", "queue.db", "views.db"]);
    for name in names(&target) {
        assert_eq!(target.join(name).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    append(&databases.events, 51, 1).await;

    // The copy is complete without write-ahead logs, and can be backed up itself.
    let again = parent.path().join("again");
    assert_eq!(back_up(&target, &again, false).unwrap().last_position, last);
    let restored = open(&again);
    assert_eq!(count(&restored.events).await, 50);
    append(&restored.events, 51, 1).await;
}

#[tokio::test]
async fn a_backup_of_a_killed_process_includes_its_write_ahead_log_and_changes_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let (data, killed) = (parent.path().join("data"), parent.path().join("killed"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    append(&databases.events, 2, 1).await;
    copy(&data, &killed, |name| is_database(name) || name.ends_with("-wal"));
    let before = names(&killed);
    let target = parent.path().join("backup");
    back_up(&killed, &target, false).unwrap();
    assert_eq!(names(&killed), before);
    assert_eq!(count(&open(&target).events).await, 2);
}

#[tokio::test]
async fn a_folder_without_its_write_ahead_log_is_backed_up_only_on_demand() {
    let parent = tempfile::tempdir().unwrap();
    let (data, bare) = (parent.path().join("data"), parent.path().join("bare"));
    let databases = open(&data);
    append(&databases.events, 1, 1).await;
    copy(&data, &bare, is_database);
    let error = back_up(&bare, &parent.path().join("refused"), false).unwrap_err().to_string();
    assert!(error.contains("events.db-wal is missing"), "{error}");
    let target = parent.path().join("accepted");
    back_up(&bare, &target, true).unwrap();
    assert!(try_open(&target).is_ok());
}

#[test]
fn a_backup_is_made_from_a_data_folder_into_a_new_one() {
    let parent = tempfile::tempdir().unwrap();
    let (data, full) = (parent.path().join("data"), parent.path().join("full"));
    drop(open(&data));
    fs::create_dir(&full).unwrap();
    fs::write(full.join("file"), "").unwrap();
    let error = back_up(&data, &full, false).unwrap_err().to_string();
    assert!(error.contains("is not empty"), "{error}");
    let error = back_up(&full, &parent.path().join("new"), false).unwrap_err().to_string();
    assert!(error.contains("has no events.db"), "{error}");
    assert!(back_up(&parent.path().join("absent"), &parent.path().join("new"), false).is_err());
    assert!(!parent.path().join("new").exists());
}
