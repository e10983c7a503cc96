//! Size of write-ahead logs after a slow reader.

use std::{path::Path, time::Duration};

use rusqlite::Connection;

use super::fixtures::{append, open};
use crate::Embedded;

/// Size that a log keeps, as `LOG_BYTES_KEPT_MAX`, and one that it has only while a reader keeps an old snapshot.
const USUAL_BYTES: u64 = 8 * 1024 * 1024;
const PAYLOAD_BYTES: usize = 512 * 1024;
const TIMEOUT: Duration = Duration::from_secs(60);
/// More than enough commits for a checkpoint to begin and to end.
const COMMITS_MAX: u32 = 20_000;

fn log_bytes(folder: &Path) -> u64 {
    folder.join("events.db-wal").metadata().unwrap().len()
}

/// Makes the write-ahead log long by a reader with an old snapshot, which then ends. Returns the number of events.
async fn grow(databases: &Embedded, folder: &Path) -> u32 {
    append(&databases.events, 1, 1).await;
    let reader = Connection::open(folder.join("events.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let mut version = 1;
    while log_bytes(folder) <= 2 * USUAL_BYTES {
        version += 1;
        append(&databases.events, version, PAYLOAD_BYTES).await;
    }
    version
}

#[tokio::test]
async fn a_write_ahead_log_is_cut_by_later_commits() {
    let folder = tempfile::tempdir().unwrap();
    let databases = open(folder.path());
    let mut version = grow(&databases, folder.path()).await;
    let last = version + COMMITS_MAX;
    while log_bytes(folder.path()) > USUAL_BYTES {
        version += 1;
        assert!(version < last, "still {} bytes", log_bytes(folder.path()));
        append(&databases.events, version, 1).await;
    }
}

#[tokio::test]
async fn a_write_ahead_log_is_cut_without_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let databases = open(folder.path());
    grow(&databases, folder.path()).await;
    let is_cut = async {
        while log_bytes(folder.path()) > USUAL_BYTES {
            databases.shrink_logs();
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, is_cut).await.unwrap();
}
