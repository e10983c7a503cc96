//! Query services that read tables of views.

use std::time::Duration;

use diptych_kernel::{
    domain::ViewId,
    ports::{PortResult, TableReader},
};
use futures::try_join;
use scylla::statement::prepared::PreparedStatement;

use crate::connection::Connection;

/// The table of readers and its statements. All rows are one CQL partition, so that those of a process are one
/// mutation.
pub(crate) struct ReadersTable {
    add: PreparedStatement,
    remove: PreparedStatement,
    list: PreparedStatement,
}

impl ReadersTable {
    pub(crate) async fn prepare(connection: &Connection) -> PortResult<Self> {
        let (add, remove, list) = try_join!(
            connection.prepare(include_str!("../queries/readers/add.cql")),
            connection.prepare(include_str!("../queries/readers/remove.cql")),
            connection.prepare(include_str!("../queries/readers/list.cql")),
        )?;
        Ok(Self { add, remove, list })
    }

    pub(crate) async fn add(
        &self,
        connection: &Connection,
        instance: &str,
        views: &[ViewId],
        time_to_live: Duration,
    ) -> PortResult<()> {
        let seconds = i32::try_from(time_to_live.as_secs().max(1)).unwrap_or(i32::MAX);
        let values: Vec<_> = views.iter().map(|view| (view.to_string(), instance, seconds)).collect();
        write(connection, "adding a reader of views", &self.add, values).await
    }

    pub(crate) async fn remove(&self, connection: &Connection, instance: &str, views: &[ViewId]) -> PortResult<()> {
        let values: Vec<_> = views.iter().map(|view| (view.to_string(), instance)).collect();
        write(connection, "removing a reader of views", &self.remove, values).await
    }

    pub(crate) async fn list(&self, connection: &Connection) -> PortResult<Vec<TableReader>> {
        let rows: Vec<(String, String)> = connection.read("reading the readers of views", &self.list, ()).await?;
        Ok(rows.into_iter().map(|(table, instance)| TableReader { table, instance }).collect())
    }
}

async fn write<V: scylla::serialize::row::SerializeRow>(
    connection: &Connection,
    what: &str,
    statement: &PreparedStatement,
    values: Vec<V>,
) -> PortResult<()> {
    if values.is_empty() {
        return Ok(());
    }
    connection.execute_batch(what, std::iter::repeat_n(statement, values.len()), values).await
}
