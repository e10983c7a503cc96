//! Marker of an open file, which tells a complete file from one that lacks its write-ahead log.
//!
//! The newest commits are in the write-ahead log until a checkpoint copies them. A copy of the database file without it
//! is a consistent, older state, which SQLite opens without a word. The marker in the file is 1 from the start on and 0
//! only after an orderly close, when SQLite also deletes the log. After a crash the marker is 1, and the log is there.

use diptych_kernel::ports::{PortError, PortResult};
use rusqlite::{Connection, config::DbConfig};

use super::error::{TransactionError, name};

/// Checks that a file without a write-ahead log was closed.
pub(crate) fn check_closed(connection: &Connection) -> PortResult<()> {
    let is_open = connection.query_row("SELECT is_open FROM file_state", [], |row| row.get(0));
    if is_open.map_err(|error| TransactionError::from(error).without_effect(connection))? {
        let path = name(connection);
        return Err(PortError::operator(format!(
            "the write-ahead log {path}-wal is missing, and with it the newest events: {path} was copied without it from \
             a running or killed process. Put the log back beside it, or restore a folder made by `diptych backup`. To \
             go on without these events: `diptych backup --data DIR --to NEW --without-log`, and use the new folder"
        )));
    }
    Ok(())
}

/// Marks the file as open, also in the database file itself.
pub(super) fn set_open(connection: &Connection) -> PortResult<()> {
    connection
        .execute("UPDATE file_state SET is_open = 1", [])
        .and_then(|_| connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())))
        .map_err(|error| TransactionError::from(error).without_effect(connection))
}

/// Marks the file as closed. If that fails, the write-ahead log is kept, as after a crash.
pub(crate) fn set_closed(connection: &Connection) {
    if let Err(error) = connection.execute("UPDATE file_state SET is_open = 0", []) {
        tracing::warn!(%error, path = name(connection), "cannot mark the database as closed, keeping its write-ahead log");
        // Failing to keep it leaves a file that the next start refuses, with its data complete.
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}
