//! The tables that batches are inserted into.

use std::future::Future;

use diptych_kernel::{
    StreamId,
    ports::{PortError, PortResult},
};
use tokio_postgres::Error;

use super::{
    answer::answer,
    inserter::{BareInserter, InsertedRows, InserterShare},
};
use crate::{
    config::PostgresConfig,
    driver::{ConnectionFactory, DriverConnection, SqlRow, StatementError},
};

const LOCK: &str = include_str!("../../queries/bare_insert/lock.sql");
const CREATE_TABLES: &str = include_str!("../../queries/bare_insert/create_tables.sql");
const DROP_TABLES: &str = include_str!("../../queries/bare_insert/drop_tables.sql");
const NEWEST_COMMITS: &str = include_str!("../../queries/bare_insert/newest_commits.sql");
/// The largest number of events that is read to find the average size of a commit.
const EVENTS_MAX: u64 = 50_000;
const SERVER_VERSION: &str = "SHOW server_version";

/// The tables of a bare batched INSERT. They exist until [`drop_tables`](Self::drop_tables); if the process is killed,
/// until the next run.
pub struct BareInsertTables {
    config: PostgresConfig,
    /// Holds the lock of the tables.
    connection: DriverConnection,
}

impl BareInsertTables {
    /// Connects to a database that [`migrate`](crate::migrate) has prepared, and creates the tables.
    ///
    /// # Errors
    /// When no host can be reached, or another process uses the tables. For an operator: when the URL is invalid, or
    /// the database has no tables or does not let its user create tables.
    pub async fn create(config: PostgresConfig) -> PortResult<Self> {
        let connection = ConnectionFactory::new(&config)?.connect_once(&config).await?;
        let tables = Self { config, connection };
        let row = tables.answer(tables.connection.client.query_one(LOCK, &[])).await?;
        if !SqlRow(&row).get::<bool>("is_locked").map_err(StatementError::into_read_error)? {
            return Err(PortError::not_done(
                "another `diptych bench report` uses its tables in this database: wait until it ends",
            ));
        }
        tables.answer(tables.connection.client.batch_execute(CREATE_TABLES)).await?;
        Ok(tables)
    }

    /// The version of the server.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn server_version(&self) -> PortResult<String> {
        let row = self.answer(self.connection.client.query_one(SERVER_VERSION, &[])).await?;
        SqlRow(&row).get("server_version").map_err(StatementError::into_read_error)
    }

    /// Creates inserters, each with a connection of its own, for rows like those of the newest `events_count` events,
    /// which are of these streams. A batch has as many events as the average of their commits. The streams are divided
    /// among the inserters.
    ///
    /// # Errors
    /// When the database does not answer. For an operator: when the newest events are not of these streams.
    pub async fn inserters(
        &self,
        stream_ids: &[StreamId],
        events_count: u64,
        count: usize,
    ) -> PortResult<Vec<BareInserter>> {
        let rows = self.newest_rows(stream_ids, events_count).await?;
        let connections = ConnectionFactory::new(&self.config)?;
        let mut inserters = Vec::new();
        for number in 0..count {
            let connection = connections.connect_once(&self.config).await?;
            let share = InserterShare {
                stream_ids: stream_ids.iter().skip(number).step_by(count).cloned().collect(),
                number: number as u64,
                inserters_count: count as u64,
            };
            inserters.push(BareInserter::new(connection, self.config.answer_timeout, rows.clone(), share).await?);
        }
        Ok(inserters)
    }

    /// Drops the tables.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_tables(self) -> PortResult<()> {
        if self.answer(self.connection.client.batch_execute(DROP_TABLES)).await.is_ok() {
            return Ok(());
        }
        // The first connection may have broken while it was idle.
        let connection = ConnectionFactory::new(&self.config)?.connect_once(&self.config).await?;
        self.answer(connection.client.batch_execute(DROP_TABLES)).await
    }

    /// Reads the size of the newest commits on these streams, and one of their events.
    async fn newest_rows(&self, stream_ids: &[StreamId], events_count: u64) -> PortResult<InsertedRows> {
        let prefix = common_prefix(stream_ids);
        let limit = i64::try_from(events_count.min(EVENTS_MAX)).unwrap_or_default();
        let rows = self.answer(self.connection.client.query(NEWEST_COMMITS, &[&prefix, &limit])).await?;
        let Some(row) = rows.first() else {
            return Err(PortError::operator(format!(
                "the newest events of this database are not of the streams {prefix}*: give the URL of the write \
                 database that the measured server uses"
            )));
        };
        InsertedRows::read(SqlRow(row)).map_err(StatementError::into_read_error)
    }

    async fn answer<T>(&self, statement: impl Future<Output = Result<T, Error>>) -> PortResult<T> {
        answer(self.config.answer_timeout, statement).await
    }
}

/// The longest text that all ids begin with.
fn common_prefix(ids: &[StreamId]) -> &str {
    let Some((first, others)) = ids.split_first() else { return "" };
    let first = first.as_str();
    let common_length =
        |other: &StreamId| first.bytes().zip(other.as_str().bytes()).take_while(|(a, b)| a == b).count();
    let length = others.iter().map(common_length).min().unwrap_or(first.len());
    // Stream ids are ASCII.
    first.get(..length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_prefix_is_that_of_all_ids() {
        for (texts, expected) in [(&["a-1", "a-12", "a-2"][..], "a-"), (&["a-1"], "a-1"), (&["a", "b"], ""), (&[], "")]
        {
            let ids: Vec<_> = texts.iter().map(|text| StreamId::new(text).unwrap()).collect();
            assert_eq!(common_prefix(&ids), expected, "{texts:?}");
        }
    }
}
