//! Reads and changes the schema of a keyspace.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use diptych_kernel::{
    Partitions,
    ports::{PortError, PortResult, Remedy},
};
use scylla::{
    policies::load_balancing::{LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy},
    statement::unprepared::Statement,
};

use super::{files::Migration, lock::SchemaLock};
use crate::{config::ScyllaConfig, connection::Connection, cql, datacenter, error};

/// Timeout of one change on the server: much longer than that of a read. After it the nodes agree on the schema twice;
/// all of this takes less than the lock's time to live.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The schema of a keyspace.
pub(crate) struct Schema<'a> {
    connection: &'a Connection,
    keyspace: &'a str,
}

impl<'a> Schema<'a> {
    pub(crate) fn new(connection: &'a Connection, keyspace: &'a str) -> Self {
        Self { connection, keyspace }
    }

    pub(super) fn keyspace(&self) -> &'a str {
        self.keyspace
    }

    /// Returns whether a process is changing the schema: then a table that is listed may not exist on all nodes yet.
    pub(crate) async fn is_locked(&self) -> PortResult<bool> {
        SchemaLock::is_held(self.connection).await
    }

    /// Locks the schema against changes by other processes.
    pub(crate) async fn lock(&self) -> PortResult<SchemaLock<'a>> {
        SchemaLock::acquire(self.connection).await
    }

    /// Changes the schema, and returns when all nodes know it.
    pub(crate) async fn change(&self, statement: &str) -> PortResult<()> {
        let mut statement = Statement::new(cql::statement(statement));
        statement.set_load_balancing_policy(self.schema_change_node());
        statement.set_request_timeout(Some(CHANGE_TIMEOUT));
        // Every change has IF NOT EXISTS.
        statement.set_is_idempotent(true);
        let session = self.connection.session();
        session.query_unpaged(statement, ()).await.map_err(|error| error::write_error("changing the schema", error))?;
        // The driver waits after its own change. If this statement changed nothing, another process may be changing the
        // schema right now.
        let agreed = session.await_schema_agreement().await;
        agreed.map(|_| ()).map_err(|error| error::read_error("waiting for agreement on the schema", error.into()))
    }

    /// Routes changes to the same node, as long as it is up. Nodes of Cassandra do not coordinate the creation of
    /// tables, so two nodes that create the same one at once give it two ids.
    fn schema_change_node(&self) -> Option<Arc<dyn LoadBalancingPolicy>> {
        let cluster = self.connection.session().get_cluster_state();
        let connected = cluster.get_nodes_info().iter().filter(|node| node.is_connected());
        let first = connected.map(|node| node.host_id).min()?;
        Some(SingleTargetLoadBalancingPolicy::new(NodeIdentifier::HostId(first), None))
    }

    /// Creates the keyspace if it is missing.
    ///
    /// A listed keyspace may be in creation by another process. The same statement waits until it exists on all nodes.
    pub(super) async fn create_keyspace(&self, config: &ScyllaConfig) -> PortResult<()> {
        let find = self.connection.prepare(include_str!("../../queries/schema/find_keyspace.cql")).await?;
        let listed: Vec<(String,)> = self.connection.read("reading keyspaces", &find, (self.keyspace,)).await?;
        let is_listed = !listed.is_empty();
        if !is_listed {
            self.check_nodes(config)?;
        }
        let create = include_str!("../../queries/schema/create_keyspace.cql")
            .replace("{keyspace}", self.keyspace)
            .replace("{datacenter}", config.datacenter.as_deref().unwrap_or("replication_factor"))
            .replace("{replication_factor}", &config.replication_factor.to_string());
        match self.change(&create).await {
            // It was created by a user with more permissions, and other options.
            Err(error) if is_listed && error.remedy() == Remedy::Operator => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                if !is_listed {
                    tracing::info!(
                        keyspace = self.keyspace,
                        replication_factor = config.replication_factor,
                        "created the keyspace"
                    );
                }
                Ok(())
            }
        }
    }

    /// Checks that there are enough nodes: a keyspace with more replicas than nodes can be created, but not written to.
    fn check_nodes(&self, config: &ScyllaConfig) -> PortResult<()> {
        let cluster = self.connection.session().get_cluster_state();
        let mut nodes = BTreeMap::<&str, usize>::new();
        for node in cluster.get_nodes_info() {
            *nodes.entry(node.datacenter.as_deref().unwrap_or_default()).or_default() += 1;
        }
        if let Some(datacenter) = config.datacenter.as_deref() {
            nodes.retain(|name, _| *name == datacenter);
        }
        let factor = config.replication_factor;
        match nodes.into_iter().find(|(_, count)| *count < usize::from(factor)) {
            Some((name, count)) => Err(PortError::operator(format!(
                "replication_factor is {factor}, but data centre {name} has {count} nodes: add nodes, or choose at \
                 most {count}"
            ))),
            None => Ok(()),
        }
    }

    /// Creates the tables of the lock and of applied migrations.
    pub(super) async fn create_migration_tables(&self) -> PortResult<()> {
        self.change(include_str!("../../queries/schema/create_migrations.cql")).await?;
        self.change(include_str!("../../queries/schema/create_lock.cql")).await
    }

    pub(super) async fn has_migration_tables(&self) -> PortResult<bool> {
        let tables = self.tables().await?;
        Ok(["schema_migrations", "schema_lock"].iter().all(|table| tables.contains(*table)))
    }

    /// The names of all tables.
    pub(crate) async fn tables(&self) -> PortResult<HashSet<String>> {
        let select = self.connection.prepare(include_str!("../../queries/schema/list_tables.cql")).await?;
        let tables: Vec<(String,)> = self.connection.read("reading table names", &select, (self.keyspace,)).await?;
        Ok(tables.into_iter().map(|(table,)| table).collect())
    }

    /// Name and checksum of each migration that was applied, by version.
    pub(super) async fn applied(&self) -> PortResult<BTreeMap<usize, (String, String)>> {
        let select = self.connection.prepare(include_str!("../../queries/schema/applied_migrations.cql")).await?;
        let rows: Vec<(i32, String, String)> = self.connection.read("reading migrations", &select, ()).await?;
        let by_version = |(version, name, checksum): (i32, String, String)| {
            let version =
                usize::try_from(version).map_err(|_| error::corrupt_data(format_args!("migration {version}")))?;
            Ok((version, (name, checksum)))
        };
        rows.into_iter().map(by_version).collect()
    }

    pub(super) async fn record(&self, migration: &Migration) -> PortResult<()> {
        let insert = self.connection.prepare(include_str!("../../queries/schema/record_migration.cql")).await?;
        let version = i32::try_from(migration.version).unwrap_or(i32::MAX);
        let values = (version, migration.name, migration.checksum());
        self.connection.execute("recording a migration", &insert, values).await.map(|_| ())
    }

    /// The smallest schema that a program must have been made for, if it is recorded.
    pub(super) async fn program_schema_min(&self) -> PortResult<Option<usize>> {
        if !self.has_program_schema_min_table().await? {
            return Ok(None);
        }
        let select = self.connection.prepare(include_str!("../../queries/schema/program_schema_min.cql")).await?;
        let rows: Vec<(i32,)> = self.connection.read("reading the schema of programs", &select, ()).await?;
        let Some((version,)) = rows.first() else { return Ok(None) };
        usize::try_from(*version).map(Some).map_err(|_| error::corrupt_data(format_args!("schema {version}")))
    }

    pub(super) async fn has_program_schema_min_table(&self) -> PortResult<bool> {
        Ok(self.tables().await?.contains("installation_program_schema_min"))
    }

    pub(super) async fn set_program_schema_min(&self, version: usize) -> PortResult<()> {
        let insert = self.connection.prepare(include_str!("../../queries/schema/set_program_schema_min.cql")).await?;
        let version = i32::try_from(version).unwrap_or(i32::MAX);
        self.connection.execute("recording the schema of programs", &insert, (version,)).await.map(|_| ())
    }

    /// The number of partitions of the installation, if it is recorded.
    pub(super) async fn partitions(&self) -> PortResult<Option<Partitions>> {
        if !self.tables().await?.contains("installation") {
            return Ok(None);
        }
        let select = self.connection.prepare(include_str!("../../queries/schema/partitions_count.cql")).await?;
        let rows: Vec<(i16,)> = self.connection.read("reading the number of partitions", &select, ()).await?;
        let Some((count,)) = rows.first() else { return Ok(None) };
        let partitions = u16::try_from(*count).ok().and_then(|count| Partitions::new(count).ok());
        partitions.map(Some).ok_or_else(|| error::corrupt_data(format_args!("{count} partitions")))
    }

    /// The recorded data centre: `Some(None)` for all of them; `None` if nothing is recorded.
    pub(super) async fn datacenter(&self) -> PortResult<Option<Option<String>>> {
        if !self.tables().await?.contains("installation_datacenter") {
            return Ok(None);
        }
        let select = self.connection.prepare(include_str!("../../queries/schema/datacenter.cql")).await?;
        let rows: Vec<(Option<String>,)> = self.connection.read("reading the data centre", &select, ()).await?;
        let recorded = rows.into_iter().next().and_then(|(datacenter,)| datacenter);
        Ok(recorded.map(|datacenter| Some(datacenter).filter(|datacenter| !datacenter.is_empty())))
    }

    /// Records the data centre of the requests; an empty text stands for all of them.
    pub(super) async fn set_datacenter(&self) -> PortResult<()> {
        let insert = self.connection.prepare(include_str!("../../queries/schema/set_datacenter.cql")).await?;
        let datacenter = self.connection.datacenter().unwrap_or_default();
        self.connection.execute("recording the data centre", &insert, (datacenter,)).await.map(|_| ())
    }

    /// Checks that the requests of this process go to the recorded data centre.
    pub(super) fn check_datacenter(&self, recorded: Option<&str>) -> PortResult<()> {
        let (used, is_only) = (self.connection.datacenter(), self.connection.has_one_datacenter());
        datacenter::check_recorded(self.keyspace, recorded, used, is_only)
    }

    pub(super) async fn set_partitions(&self, partitions: Partitions) -> PortResult<()> {
        let insert = self.connection.prepare(include_str!("../../queries/schema/set_partitions_count.cql")).await?;
        // At most 256.
        let count = i16::try_from(partitions.count()).unwrap_or(i16::MAX);
        self.connection.execute("recording the number of partitions", &insert, (count,)).await.map(|_| ())
    }
}
