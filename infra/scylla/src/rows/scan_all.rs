//! Scans all rows of a table, for audits.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{PortResult, Row},
};
use scylla::{deserialize::row::DeserializeRow, serialize::row::SerializeRow, statement::prepared::PreparedStatement};

use super::{
    read::RowColumns,
    tables::{Tables, row},
};
use crate::connection::Connection;

/// Partition key, sort key, position, `is_deleted`, body.
type KeyedRowColumns = (Arc<str>, Bytes, i64, bool, Bytes);

impl Tables {
    /// Reads up to `limit` rows after a key. They are sorted by token, partition key and sort key, as bytes: the order
    /// of every node.
    pub(crate) async fn scan_all(
        &self,
        connection: &Connection,
        view: ViewId,
        after: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        let statements = self.statements(connection, view).await?;
        let mut page = RowPage { connection, limit, rows: Vec::new() };
        let Some(after) = after else {
            page.add_table(&statements.scan_table, ()).await?;
            return Ok(page.rows);
        };
        // First the rest of its partition key, then of its token, then of the table.
        let partition_key = &*after.partition_key;
        page.add_partition(partition_key, &statements.scan_partition_after, (partition_key, &after.sort_key[..]))
            .await?;
        if !page.is_full() {
            let of_token: Vec<(String,)> = connection
                .read("reading partition keys", &statements.partition_keys_of_token, (partition_key,))
                .await?;
            let mut later: Vec<_> =
                of_token.into_iter().map(|(key,)| key).filter(|key| &**key > partition_key).collect();
            later.sort_unstable();
            for key in later {
                page.add_partition(&key, &statements.scan_partition, (&key,)).await?;
            }
        }
        page.add_table(&statements.scan_table_after, (partition_key,)).await?;
        Ok(page.rows)
    }
}

/// Collects rows up to a limit.
struct RowPage<'a> {
    connection: &'a Connection,
    limit: usize,
    rows: Vec<(RowKey, Row)>,
}

impl RowPage<'_> {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit
    }

    /// Adds the rows of a statement on one partition key.
    async fn add_partition(
        &mut self,
        partition_key: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> PortResult<()> {
        let partition_key: Arc<str> = partition_key.into();
        self.add(statement, values, |(sort_key, position, is_deleted, body): RowColumns| {
            (Arc::clone(&partition_key), sort_key, position, is_deleted, body)
        })
        .await
    }

    /// Adds the rows of a statement on the table.
    async fn add_table(&mut self, statement: &PreparedStatement, values: impl SerializeRow) -> PortResult<()> {
        self.add(statement, values, |columns: KeyedRowColumns| columns).await
    }

    async fn add<R>(
        &mut self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        keyed: impl Fn(R) -> KeyedRowColumns,
    ) -> PortResult<()>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let missing = self.limit.saturating_sub(self.rows.len());
        if missing == 0 {
            return Ok(());
        }
        let on_row = |columns| {
            let (partition_key, sort_key, position, is_deleted, body) = keyed(columns);
            let key = RowKey { partition_key, sort_key: Bytes::copy_from_slice(&sort_key) };
            self.rows.push((key, row(position, is_deleted, &body)?));
            Ok(if self.rows.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        self.connection.read_while("reading rows", statement, values, missing, on_row).await
    }
}
