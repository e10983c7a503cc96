//! Queue of commands in SQLite: `queue.db`, a file of its own, so that it works while `events.db` does not.

mod records;

use std::time::Duration;

use diptych_kernel::{
    Partitions,
    ports::{CommandQueue, Offset, PortResult, QueueEnds, QueueRecord, QueuedCommand},
};
use tokio::time::Instant;

use crate::{
    database::{Database, DatabaseSpec, Migration},
    storage::Storage,
};

const DATABASE: DatabaseSpec = DatabaseSpec {
    file_name: "queue.db",
    migrations: &[Migration(include_str!("../../migrations/queue/0001_commands.sql"))],
    syncs_commits: true,
    marks_open: false,
    writer_cache_kib: 2_000,
};

/// Queue of commands in SQLite. Clones are handles to the same queue.
#[derive(Clone)]
pub struct EmbeddedCommandQueue {
    database: Database,
}

impl EmbeddedCommandQueue {
    /// Opens the queue, and creates it if it does not exist.
    ///
    /// # Errors
    /// If the storage cannot be used, or was created with another number of partitions or by a newer version of this
    /// program.
    pub fn open(storage: &Storage, partitions: Partitions) -> PortResult<Self> {
        Ok(Self { database: Database::open(storage, &DATABASE, partitions)? })
    }

    /// Deletes up to `limit` records before an offset, and returns how many it deleted.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn delete_before(&self, offset: Offset, limit: usize) -> PortResult<usize> {
        self.database.write_without_sync(move |transaction| records::delete_before(transaction, offset, limit)).await
    }

    pub(crate) fn shrink_log(&self) {
        self.database.shrink_log();
    }
}

impl CommandQueue for EmbeddedCommandQueue {
    async fn append(&self, commands: &[QueuedCommand]) -> PortResult<Vec<Offset>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let commands = commands.to_vec();
        let signals = std::sync::Arc::clone(self.database.signals());
        // The wake-up is part of the work, because it must happen even if this future is dropped.
        self.database
            .write_then(
                move |transaction| records::append(transaction, &commands),
                move |_: &mut Vec<Offset>| signals.changed.announce(),
            )
            .await
    }

    async fn read(&self, from: Offset, limit: usize, wait_max: Duration) -> PortResult<Vec<QueueRecord>> {
        let deadline = Instant::now() + wait_max;
        let signals = self.database.signals();
        loop {
            let seen = signals.changed.count();
            let found = self.database.read(move |connection| records::read(connection, from, limit)).await?;
            if !found.is_empty() || Instant::now() >= deadline {
                return Ok(found);
            }
            signals.changed.wait(seen, deadline, self.database.may_have_other_processes()).await;
        }
    }

    async fn ends(&self) -> PortResult<QueueEnds> {
        self.database.read(records::ends).await
    }
}
