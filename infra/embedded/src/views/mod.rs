//! Read database: rows and progress of views.

mod progress;
mod readers;
mod rows;

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Clock, Partitions,
    domain::{RowKey, ViewId},
    ports::{
        PortError, PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, TablePosition, TableReader,
        ViewStore,
    },
};
use tokio::time::Instant;

use crate::{
    database::{Database, DatabaseSpec, Migration},
    folder::ReadOnlyFolder,
    storage::Storage,
};

const DATABASE: DatabaseSpec = DatabaseSpec {
    file_name: "views.db",
    migrations: &[
        Migration(include_str!("../../migrations/views/0001_views.sql")),
        Migration(include_str!("../../migrations/views/0002_history.sql")),
        Migration(include_str!("../../migrations/views/0003_program_schema_min.sql")),
        Migration(include_str!("../../migrations/views/0004_view_readers.sql")),
    ],
    // After a power failure, lost rows are projected again from the log, because progress goes back together with the
    // rows.
    syncs_commits: false,
    marks_open: false,
    writer_cache_kib: 8_000,
};

/// Read database in SQLite. Clones are handles to the same database.
///
/// Every write is one transaction, and transactions reach the disk in order, so progress never survives without the
/// rows that it covers.
#[derive(Clone)]
pub struct EmbeddedViewStore {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl EmbeddedViewStore {
    /// Opens the read database, and creates it if it does not exist. The time to live of readers is by `clock`.
    ///
    /// # Errors
    /// If the storage cannot be used, or was created with another number of partitions or by a newer version of this
    /// program.
    pub fn open(storage: &Storage, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self { database: Database::open(storage, &DATABASE, partitions)?, clock })
    }

    /// Opens the read database of a folder for reading only: every write fails.
    ///
    /// # Errors
    /// If it does not exist, has another number of partitions, or has a schema of another version.
    pub fn open_read_only(folder: &ReadOnlyFolder, partitions: Partitions, clock: Arc<dyn Clock>) -> PortResult<Self> {
        Ok(Self { database: Database::open_read_only(folder, &DATABASE, partitions)?, clock })
    }

    pub(crate) fn shrink_log(&self) {
        self.database.shrink_log();
    }

    /// Checks for saves by other processes.
    async fn check_for_saves(&self) -> PortResult<()> {
        let saves = self.database.read(progress::saves).await?;
        self.database.signals().raise(saves);
        Ok(())
    }
}

impl ViewStore for EmbeddedViewStore {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        for view in views {
            check_name(*view)?;
        }
        let views = views.to_vec();
        self.database.write(move |transaction| rows::create_tables(transaction, &views)).await
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.to_vec();
        self.database.write(move |transaction| rows::write(transaction, &rows)).await
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        self.database.read(move |connection| rows::read(connection, view, &keys)).await
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        let (partition_key, after) = (partition_key.to_owned(), after_exclusive.map(<[u8]>::to_vec));
        self.database
            .read(move |connection| rows::scan(connection, view, &partition_key, after.as_deref(), limit))
            .await
    }

    async fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        let after = after_exclusive.cloned();
        self.database.read(move |connection| rows::scan_all(connection, view, after.as_ref(), limit)).await
    }
}

impl ProgressStore for EmbeddedViewStore {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        if updates.is_empty() {
            return Ok(());
        }
        let updates = updates.to_vec();
        let signals = Arc::clone(self.database.signals());
        // The wake-up is part of the work, because it must happen even if this future is dropped.
        self.database
            .write_then(
                move |transaction| progress::save(transaction, &updates),
                move |saves: &mut i64| signals.raise(*saves),
            )
            .await
            .map(|_| ())
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        let views = views.to_vec();
        self.database.read(move |connection| progress::load(connection, &views)).await
    }

    async fn table_positions(&self) -> PortResult<Vec<TablePosition>> {
        self.database.read(progress::table_positions).await
    }

    async fn add_reader(&self, instance: &str, views: &[ViewId], time_to_live: Duration) -> PortResult<()> {
        let now = self.clock.now();
        let expires_at = now.plus_micros(i64::try_from(time_to_live.as_micros()).unwrap_or(i64::MAX));
        let (instance, views) = (instance.to_owned(), views.to_vec());
        self.database.write(move |transaction| readers::add(transaction, &instance, &views, (now, expires_at))).await
    }

    async fn remove_reader(&self, instance: &str, views: &[ViewId]) -> PortResult<()> {
        let (instance, views) = (instance.to_owned(), views.to_vec());
        self.database.write(move |transaction| readers::remove(transaction, &instance, &views)).await
    }

    async fn readers(&self) -> PortResult<Vec<TableReader>> {
        let now = self.clock.now();
        self.database.read(move |connection| readers::unexpired(connection, now)).await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        let deadline = Instant::now() + wait_max;
        let signals = self.database.signals();
        let other_processes = self.database.may_have_other_processes();
        loop {
            let count = signals.changed.count();
            if count != *seen || Instant::now() >= deadline {
                *seen = count;
                return;
            }
            signals.changed.wait(count, deadline, other_processes).await;
            let is_unchanged = signals.changed.count() == count;
            // On an error the wait ends, and the caller's next read reports the error.
            if other_processes && is_unchanged && self.check_for_saves().await.is_err() {
                return;
            }
        }
    }
}

/// Validates a view's name, which becomes part of a table name.
fn check_name(view: ViewId) -> PortResult<()> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    if (1..=32).contains(&view.name.len()) && view.name.bytes().all(is_name) {
        return Ok(());
    }
    Err(PortError::operator(format!("invalid view name in {view}: use 1 to 32 lower-case letters and underscores")))
}
