//! Outage of the write database of a data folder, made on purpose.

use std::path::Path;

use diptych_kernel::ports::{PortError, PortResult};
use rusqlite::Connection;

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
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| {
            PortError::not_done(format!("{} is locked by another process", path.display())).caused_by(error)
        })?;
        Ok(Self { _connection: connection })
    }
}
