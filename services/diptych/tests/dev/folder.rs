//! Data folders on disk: `verify` without a change to them, and `backup`.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::Value;
use uuid::Uuid;

use super::{
    calls::{balance_minor, channel, deposit},
    process::{Dev, run},
};

/// Deposits `times` into one account, and waits until the last is visible.
async fn deposits(dev: &Dev, times: usize) {
    let client = channel(dev).await;
    for time in 1..=times {
        let receipt = deposit(&client, "alice", Uuid::new_v4()).await;
        let expected = 1_050 * i64::try_from(time).unwrap();
        assert_eq!(balance_minor(&client, "alice", receipt.written_at).await, expected);
    }
}

/// The content of all files of a folder.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// Verifies a folder without differences; returns the number of its events.
fn verify(folder: &Path) -> u64 {
    let (status, out, errors) = run(&["verify", "--data", folder.to_str().unwrap(), "--output", "json"]);
    assert_eq!(status, 0, "{out}{errors}");
    serde_json::from_str::<Value>(&out).unwrap()["events"].as_u64().unwrap()
}

#[tokio::test]
async fn verify_changes_nothing_in_a_read_only_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&["--data", data.to_str().unwrap()]);
    deposits(&dev, 3).await;
    assert_eq!(verify(&data), 4, "beside the running process");
    dev.signal("KILL");
    dev.ended().await;

    // The newest events are only in the write-ahead log, with an index beside it or without.
    for name in ["events.db-shm", "log.db-shm", "views.db-shm", "dev.lock", ""] {
        fs::set_permissions(&data, Permissions::from_mode(0o555)).unwrap();
        let before = content(&data);
        assert!(before["events.db-wal"].len() > 4_096);
        assert_eq!(verify(&data), 4);
        assert!(content(&data) == before, "a file was changed, without {name}");
        fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        if !name.is_empty() {
            fs::remove_file(data.join(name)).unwrap();
        }
    }

    let stopped = Dev::start(&["--data", data.to_str().unwrap()]);
    stopped.signal("TERM");
    assert!(stopped.ended().await.0.success());
    let before = content(&data);
    assert!(!before.contains_key("events.db-wal"));
    verify(&data);
    assert!(content(&data) == before, "a file was changed");
}

#[tokio::test]
async fn a_backup_of_a_running_process_is_restored_by_starting_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let dev = Dev::start(&["--data", data.to_str().unwrap()]);
    deposits(&dev, 5).await;
    let client = channel(&dev).await;
    let request_id = Uuid::new_v4();
    let receipt = deposit(&client, "alice", request_id).await;

    let args = ["backup", "--data", data.to_str().unwrap(), "--to", backup.to_str().unwrap()];
    let (status, out, errors) = run(&args);
    assert_eq!(status, 0, "{out}{errors}");
    assert!(out.contains("newest event  2") && out.contains("to restore it: diptych dev --data"), "{out}");
    let (status, _, errors) = run(&args);
    assert!(status == 1 && errors.contains("is not empty"), "{errors}");
    deposit(&client, "alice", Uuid::new_v4()).await;
    drop(dev);

    assert_eq!(verify(&backup), 7);
    let restored = Dev::start(&["--data", backup.to_str().unwrap()]);
    let client = channel(&restored).await;
    let again = deposit(&client, "alice", request_id).await;
    assert_eq!(again.streams, receipt.streams, "the same request is the same command");
    assert_eq!(balance_minor(&client, "alice", again.written_at).await, 6 * 1_050);
}
