//! [`ScyllaViewStore`]: the read database on ScyllaDB.

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
    progress::{ChangeCounter, ProgressTable},
    rows::Tables,
};

/// The read database on ScyllaDB. Clones share the same session; every call of [`open`](Self::open) makes a new one.
#[derive(Clone)]
pub struct ScyllaViewStore {
    resources: Arc<StoreResources>,
}

struct StoreResources {
    connection: Connection,
    config: ScyllaConfig,
    tables: Tables,
    progress: ProgressTable,
    changes: ChangeCounter,
    partitions: Partitions,
}

impl ScyllaViewStore {
    /// Connects to a read database that [`migrate`](crate::migrate) has prepared. `partitions` is that of the
    /// installation.
    ///
    /// # Errors
    /// When no node can be reached. For an operator: when the settings are invalid, the server refuses the user, the
    /// schema is missing, older or newer than this program's, or was created with another number of partitions, and
    /// when another data centre is recorded, or none of several is chosen with LOCAL_QUORUM.
    pub async fn open(config: ScyllaConfig, partitions: Partitions) -> PortResult<Self> {
        let store = Self::open_with_stored_partitions(config).await?;
        migration::check_partitions(&store.resources.config.keyspace, store.partitions(), partitions)?;
        Ok(store)
    }

    /// Connects without a known number of partitions, which [`ScyllaViewStore::partitions`] returns: for processes
    /// without a write database.
    ///
    /// # Errors
    /// As [`ScyllaViewStore::open`], except for the number of partitions.
    pub async fn open_with_stored_partitions(config: ScyllaConfig) -> PortResult<Self> {
        let connection = Connection::open(&config).await?;
        connection.use_keyspace(&config).await?;
        let partitions = migration::check(&connection, &config.keyspace).await?;
        let progress = ProgressTable::prepare(&connection).await?;
        let changes = ChangeCounter::new(config.progress_poll_interval);
        let resources = StoreResources { connection, config, tables: Tables::default(), progress, changes, partitions };
        Ok(Self { resources: Arc::new(resources) })
    }

    /// The number of partitions of the installation: recorded by the first migration, and never changed.
    #[must_use]
    pub fn partitions(&self) -> Partitions {
        self.resources.partitions
    }
}

impl ViewStore for ScyllaViewStore {
    async fn ensure_views(&self, views: &[ViewId]) -> PortResult<()> {
        let StoreResources { connection, config, tables, .. } = &*self.resources;
        tables.ensure(connection, &config.keyspace, views).await
    }

    async fn write(&self, rows: &[RowWrite]) -> PortResult<()> {
        self.resources.tables.write(&self.resources.connection, rows).await
    }

    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<Option<Row>>> {
        self.resources.tables.read(&self.resources.connection, view, keys).await
    }

    async fn scan(
        &self,
        view: ViewId,
        partition_key: &str,
        after_exclusive: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<ScanPage> {
        self.resources.tables.scan(&self.resources.connection, view, partition_key, after_exclusive, limit).await
    }

    async fn scan_all(
        &self,
        view: ViewId,
        after_exclusive: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        self.resources.tables.scan_all(&self.resources.connection, view, after_exclusive, limit).await
    }
}

impl ProgressStore for ScyllaViewStore {
    async fn save(&self, updates: &[ProgressUpdate]) -> PortResult<()> {
        let StoreResources { connection, progress, changes, .. } = &*self.resources;
        progress.save(connection, changes, updates).await
    }

    async fn load(&self, views: &[ViewId]) -> PortResult<Vec<ProgressUpdate>> {
        self.resources.progress.load(&self.resources.connection, views).await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        self.resources.changes.wait(seen, wait_max).await;
    }
}
