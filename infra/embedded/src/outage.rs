//! Outage of the write database of a data folder, made on purpose.

use std::path::Path;

use diptych_kernel::ports::{PortError, PortResult};
use rusqlite::{Connection, config::DbConfig};

use crate::database;

/// Write lock on the `events.db` of a folder: while it is held, no other process can append events, as if the write
/// database were down. Reads go on. Dropping it releases the lock; so does the end of the process.
#[derive(Debug)]
pub struct WriteLock {
    /// With an open transaction.
    _connection: Connection,
}

impl WriteLock {
    /// Takes the lock, after a transaction that is under way.
    ///
    /// # Errors
    /// If the folder has no `events.db`, or it stays locked.
    pub fn acquire(folder: &Path) -> PortResult<Self> {
        let path = folder.join("events.db");
        if !path.is_file() {
            let message = format!("{} has no events.db: give the folder of `diptych dev --data DIR`", folder.display());
            return Err(PortError::operator(message));
        }
        let connection = database::open_beside(&path)?;
        // The write-ahead log stays as it is, should the process that uses the folder end before this one.
        let locked = connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .and_then(|_| connection.execute_batch("BEGIN IMMEDIATE"));
        locked.map_err(|error| {
            PortError::not_done(format!("{} is locked by another process", path.display())).caused_by(error)
        })?;
        Ok(Self { _connection: connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixtures::{append, open};

    #[tokio::test]
    async fn a_lock_that_outlives_the_databases_leaves_the_write_ahead_log() {
        let folder = tempfile::tempdir().unwrap();
        let databases = open(folder.path());
        append(&databases.events, 1, 1).await;
        let lock = WriteLock::acquire(folder.path()).unwrap();
        // As by a process that is killed: the file is not marked as closed.
        std::mem::forget(databases);
        drop(lock);
        assert!(folder.path().join("events.db-wal").exists());
        append(&open(folder.path()).events, 2, 1).await;
    }

    #[test]
    fn a_folder_without_events_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = WriteLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has no events.db"), "{error}");
    }
}
