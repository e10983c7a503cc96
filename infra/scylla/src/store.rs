//! The read database as the ports see it.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions,
    domain::{RowKey, ViewId},
    ports::{PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, ViewStore},
};

use crate::{
    config::ScyllaConfig,
    connection::Connection,
    migration,
    progress::{Changes, ProgressTable},
    rows::Tables,
};

/// The read database on ScyllaDB. Clones are handles to the same session; every opening has one of its own, as a process would.
#[derive(Clone)]
pub struct ScyllaViewStore {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    config: ScyllaConfig,
    tables: Tables,
    progress: ProgressTable,
    changes: Changes,
    partitions: Partitions,
}

impl ScyllaViewStore {
    /// Connects to a read database that [`migrate`](crate::migrate) has brought up to date. `partitions` is that of the installation.
    ///
    /// # Errors When no node can be reached (asking again may help), and for an operator: when the settings are wrong, the server refuses
    /// the user, the schema is missing, older or newer than this program's, or was made with another number of partitions.
    pub async fn open(config: ScyllaConfig, partitions: Partitions) -> PortResult<Self> {
        let store = Self::open_as_made(config).await?;
        migration::check_partitions(&store.shared.config.keyspace, store.partitions(), partitions)?;
        Ok(store)
    }

    /// The same for whoever has no other store that knows the number of partitions: [`ScyllaViewStore::partitions`] tells it.
    ///
    /// # Errors
    /// As [`ScyllaViewStore::open`], but for another number of partitions.
    pub async fn open_as_made(config: ScyllaConfig) -> PortResult<Self> {
        let connection = Connection::open(&config).await?;
        connection.use_keyspace(&config.keyspace).await?;
        let partitions = migration::check(&connection, &config.keyspace).await?;
        let progress = ProgressTable::prepare(&connection).await?;
        let changes = Changes::new(config.progress_poll);
        let shared = Shared { connection, config, tables: Tables::default(), progress, changes, partitions };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many partitions the installation has: written down when it was first migrated, and never changed.
    #[must_use]
    pub fn partitions(&self) -> Partitions {
        self.shared.partitions
    }
}

impl ViewStore for ScyllaViewStore {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        let Shared { connection, config, tables, .. } = &*self.shared;
        tables.ensure(connection, &config.keyspace, views).await
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        self.shared.tables.write(&self.shared.connection, rows).await
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        self.shared.tables.read(&self.shared.connection, view, keys).await
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        self.shared.tables.scan(&self.shared.connection, view, partition_key, after_exclusive, limit).await
    }

    async fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        self.shared.tables.scan_all(&self.shared.connection, view, after_exclusive, limit).await
    }
}

impl ProgressStore for ScyllaViewStore {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        let Shared { connection, progress, changes, .. } = &*self.shared;
        progress.save(connection, changes, updates).await
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        self.shared.progress.load(&self.shared.connection, views).await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        self.shared.changes.wait(seen, wait_max).await;
    }
}
