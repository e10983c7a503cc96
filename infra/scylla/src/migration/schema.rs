//! Looking at the schema and changing it.

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

use super::{files::Migration, lock::Lock};
use crate::{config::ScyllaConfig, connection::Connection, cql, error};

/// How long one change may take on the server: much longer than a read. The nodes have to agree on it twice after that; all of it takes
/// less than the lock is held.
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

    /// Whether somebody changes the schema at this moment: then a table that is listed may not be there yet.
    pub(crate) async fn is_locked(&self) -> PortResult<bool> {
        Lock::is_held(self.connection).await
    }

    /// Keeps others from changing the schema.
    pub(crate) async fn lock(&self) -> PortResult<Lock<'a>> {
        Lock::take(self.connection).await
    }

    /// Changes the schema, and returns when all nodes know it.
    pub(crate) async fn change(&self, statement: &str) -> PortResult<()> {
        let mut statement = Statement::new(cql::statement(statement));
        statement.set_load_balancing_policy(self.one_node());
        statement.set_request_timeout(Some(CHANGE_TIMEOUT));
        // Every change says IF NOT EXISTS.
        statement.set_is_idempotent(true);
        let session = self.connection.session();
        session.query_unpaged(statement, ()).await.map_err(|error| error::writing("a change of the schema", error))?;
        // The driver waits by itself where something was changed. Where nothing was, another process may be changing it at this moment.
        let agreed = session.await_schema_agreement().await;
        agreed.map(|_| ()).map_err(|error| error::reading("waiting for agreement on the schema", error.into()))
    }

    /// Where changes go: always to the same node, as long as it is up. Cassandra's nodes do not ask each other before they make a table,
    /// so two that make the same one at once give it two ids.
    fn one_node(&self) -> Option<Arc<dyn LoadBalancingPolicy>> {
        let cluster = self.connection.session().get_cluster_state();
        let connected = cluster.get_nodes_info().iter().filter(|node| node.is_connected());
        let first = connected.map(|node| node.host_id).min()?;
        Some(SingleTargetLoadBalancingPolicy::new(NodeIdentifier::HostId(first), None))
    }

    /// Makes the keyspace where there is none.
    ///
    /// One that is listed may be made by another process at this moment, and is not there yet. The same statement again waits until it is.
    pub(super) async fn create_keyspace(&self, config: &ScyllaConfig) -> PortResult<()> {
        let find = self.connection.prepare(include_str!("../../queries/schema/keyspace.cql")).await?;
        let listed: Vec<(String,)> = self.connection.read("reading keyspaces", &find, (self.keyspace,)).await?;
        let is_listed = !listed.is_empty();
        if !is_listed {
            self.check_nodes(config)?;
        }
        let create = include_str!("../../queries/schema/create_keyspace.cql")
            .replace("{keyspace}", self.keyspace)
            .replace("{place}", config.datacenter.as_deref().unwrap_or("replication_factor"))
            .replace("{factor}", &config.replication_factor.to_string());
        match self.change(&create).await {
            // Somebody with more rights has made it, and differently.
            Err(error) if is_listed && error.remedy() == Remedy::Operator => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                if !is_listed {
                    tracing::info!(keyspace = self.keyspace, copies = config.replication_factor, "made the keyspace");
                }
                Ok(())
            }
        }
    }

    /// A keyspace with more copies than nodes can be made, and then nothing can be written to it.
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
                "replication_factor is {factor}, but data centre {name} has {count} nodes: add nodes, or choose at most {count}"
            ))),
            None => Ok(()),
        }
    }

    /// Makes the tables without which nothing can be locked and nothing be written down.
    pub(super) async fn create_own_tables(&self) -> PortResult<()> {
        self.change(include_str!("../../queries/schema/create_migrations.cql")).await?;
        self.change(include_str!("../../queries/schema/create_lock.cql")).await
    }

    pub(super) async fn has_own_tables(&self) -> PortResult<bool> {
        let tables = self.tables().await?;
        Ok(["schema_migrations", "schema_lock"].iter().all(|table| tables.contains(*table)))
    }

    /// The names of all tables.
    pub(crate) async fn tables(&self) -> PortResult<HashSet<String>> {
        let select = self.connection.prepare(include_str!("../../queries/schema/tables.cql")).await?;
        let tables: Vec<(String,)> = self.connection.read("reading names", &select, (self.keyspace,)).await?;
        Ok(tables.into_iter().map(|(table,)| table).collect())
    }

    /// Name and checksum of each migration that was applied, by version.
    pub(super) async fn applied(&self) -> PortResult<BTreeMap<usize, (String, String)>> {
        let select = self.connection.prepare(include_str!("../../queries/schema/applied.cql")).await?;
        let rows: Vec<(i32, String, String)> = self.connection.read("reading migrations", &select, ()).await?;
        let by_version = |(version, name, checksum): (i32, String, String)| {
            let version = usize::try_from(version).map_err(|_| error::garbled(format_args!("migration {version}")))?;
            Ok((version, (name, checksum)))
        };
        rows.into_iter().map(by_version).collect()
    }

    pub(super) async fn record(&self, migration: &Migration) -> PortResult<()> {
        let insert = self.connection.prepare(include_str!("../../queries/schema/record.cql")).await?;
        let version = i32::try_from(migration.version).unwrap_or(i32::MAX);
        let values = (version, migration.name, migration.checksum());
        self.connection.execute("recording a migration", &insert, values).await.map(|_| ())
    }

    /// The number of partitions that the installation has, if it was written down.
    pub(super) async fn partitions(&self) -> PortResult<Option<Partitions>> {
        if !self.tables().await?.contains("installation") {
            return Ok(None);
        }
        let select = self.connection.prepare(include_str!("../../queries/schema/partitions.cql")).await?;
        let rows: Vec<(i16,)> = self.connection.read("reading the number of partitions", &select, ()).await?;
        let Some((count,)) = rows.first() else { return Ok(None) };
        let partitions = u16::try_from(*count).ok().and_then(|count| Partitions::new(count).ok());
        partitions.map(Some).ok_or_else(|| error::garbled(format_args!("{count} partitions")))
    }

    pub(super) async fn set_partitions(&self, partitions: Partitions) -> PortResult<()> {
        let insert = self.connection.prepare(include_str!("../../queries/schema/set_partitions.cql")).await?;
        // At most 256.
        let count = i16::try_from(partitions.count()).unwrap_or(i16::MAX);
        self.connection.execute("recording the number of partitions", &insert, (count,)).await.map(|_| ())
    }
}
