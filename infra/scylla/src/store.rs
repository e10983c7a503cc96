//! [`ScyllaViewStore`]: the read database on ScyllaDB.

use std::{sync::Arc, time::Duration};

use diptych_kernel::{
    Partitions, Position,
    domain::{RowKey, ViewId},
    ports::{
        PortError, PortResult, ProgressStore, ProgressUpdate, Row, RowWrite, ScanPage, TablePosition, TableReader,
        ViewStore,
    },
    vocabulary::Installation,
};

use crate::{
    config::ScyllaConfig,
    connection::Connection,
    history, migration,
    progress::{ChangeCounter, ProgressTable},
    readers::ReadersTable,
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
    readers: ReadersTable,
    changes: ChangeCounter,
    installation: Installation,
}

impl ScyllaViewStore {
    /// Connects to a read database that [`migrate`](crate::migrate) has prepared for this installation.
    ///
    /// # Errors
    /// When no node can be reached. For an operator: when the settings are invalid, the server refuses the user, the
    /// schema is missing, older or newer than this program's, another data centre is recorded, none of several is
    /// chosen with LOCAL_QUORUM, or the keyspace is of another installation.
    pub async fn open(config: ScyllaConfig, installation: &Installation) -> PortResult<Self> {
        let (connection, partitions) = Self::connect(&config).await?;
        migration::check_partitions(&config.keyspace, partitions, installation.partitions)?;
        history::claim(&connection, &config.keyspace, installation).await?;
        Self::prepare(config, connection, installation.clone()).await
    }

    /// Connects without a known installation, which [`ScyllaViewStore::installation`] returns: for processes without a
    /// write database.
    ///
    /// # Errors
    /// As [`ScyllaViewStore::open`], except for the installation.
    pub async fn open_with_stored_installation(config: ScyllaConfig) -> PortResult<Self> {
        let (connection, partitions) = Self::connect(&config).await?;
        let Some((history, token_key)) = history::recorded(&connection).await? else {
            let keyspace = &config.keyspace;
            let message = format!("keyspace {keyspace} has no history of an installation: run `diptych migrate`");
            return Err(PortError::operator(message));
        };
        Self::prepare(config, connection, Installation { partitions, history, token_key }).await
    }

    /// Connects, and checks the schema. Returns the number of partitions that is recorded in it.
    async fn connect(config: &ScyllaConfig) -> PortResult<(Connection, Partitions)> {
        let connection = Connection::open(config).await?;
        connection.use_keyspace(config).await?;
        let partitions = migration::check(&connection, &config.keyspace).await?;
        Ok((connection, partitions))
    }

    async fn prepare(config: ScyllaConfig, connection: Connection, installation: Installation) -> PortResult<Self> {
        let progress = ProgressTable::prepare(&connection).await?;
        let readers = ReadersTable::prepare(&connection).await?;
        let changes = ChangeCounter::new(config.progress_poll_interval);
        let resources =
            StoreResources { connection, config, tables: Tables::default(), progress, readers, changes, installation };
        Ok(Self { resources: Arc::new(resources) })
    }

    /// The installation that the rows belong to.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.resources.installation
    }

    /// Checks that the rows still follow the history that this store was opened with: for processes without a write
    /// database, whose connections prove it for the others.
    ///
    /// # Errors
    /// For an operator: if a rebase gave the keyspace another history, or it was made anew. Else when it cannot be
    /// read.
    pub async fn check_history(&self) -> PortResult<()> {
        let StoreResources { connection, config, installation, .. } = &*self.resources;
        history::check_unchanged(connection, &config.keyspace, &installation.history).await
    }

    /// The newest position that any view has reached in any partition, or the start.
    ///
    /// # Errors
    /// When the progress cannot be read.
    pub async fn newest_position(&self) -> PortResult<Position> {
        ProgressTable::newest_position(&self.resources.connection).await
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

    async fn table_positions(&self) -> PortResult<Vec<TablePosition>> {
        self.resources.progress.table_positions(&self.resources.connection).await
    }

    async fn add_reader(&self, instance: &str, views: &[ViewId], time_to_live: Duration) -> PortResult<()> {
        self.resources.readers.add(&self.resources.connection, instance, views, time_to_live).await
    }

    async fn remove_reader(&self, instance: &str, views: &[ViewId]) -> PortResult<()> {
        self.resources.readers.remove(&self.resources.connection, instance, views).await
    }

    async fn readers(&self) -> PortResult<Vec<TableReader>> {
        self.resources.readers.list(&self.resources.connection).await
    }

    async fn wait_for_change(&self, seen: &mut u64, wait_max: Duration) {
        self.resources.changes.wait(seen, wait_max).await;
    }
}
