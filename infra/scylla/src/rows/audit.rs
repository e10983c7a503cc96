//! All rows of a table.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{PortResult, Row},
};
use scylla::{deserialize::row::DeserializeRow, serialize::row::SerializeRow, statement::prepared::PreparedStatement};

use super::{Tables, read::Columns, row};
use crate::connection::Connection;

/// Partition key, sort key, position, whether it is deleted, body.
type KeyedColumns = (Arc<str>, Bytes, i64, bool, Bytes);

impl Tables {
    /// The order is that of tokens, then of partition keys, then of sort keys, all as bytes: that in which every node has its rows.
    pub(crate) async fn scan_all(
        &self,
        connection: &Connection,
        view: ViewId,
        after: Option<&RowKey>,
        limit: usize,
    ) -> PortResult<Vec<(RowKey, Row)>> {
        let statements = self.statements(connection, view).await?;
        let mut piece = Piece { connection, limit, rows: Vec::new() };
        let Some(after) = after else {
            piece.add_table(&statements.scan_table, ()).await?;
            return Ok(piece.rows);
        };
        // What is left of its group, then of its token, then of the table.
        let group = &*after.partition_key;
        piece.add_group(group, &statements.scan_group_after, (group, &after.sort_key[..])).await?;
        if !piece.is_full() {
            let of_token: Vec<(String,)> =
                connection.read("reading keys", &statements.groups_of_token, (group,)).await?;
            let mut later: Vec<_> = of_token.into_iter().map(|(key,)| key).filter(|key| &**key > group).collect();
            later.sort_unstable();
            for group in later {
                piece.add_group(&group, &statements.scan_group, (&group,)).await?;
            }
        }
        piece.add_table(&statements.scan_table_after, (group,)).await?;
        Ok(piece.rows)
    }
}

/// Rows that were found, up to a limit.
struct Piece<'a> {
    connection: &'a Connection,
    limit: usize,
    rows: Vec<(RowKey, Row)>,
}

impl Piece<'_> {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit
    }

    /// Adds what a statement finds in one group.
    async fn add_group(
        &mut self,
        group: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> PortResult<()> {
        let group: Arc<str> = group.into();
        self.add(statement, values, |(sort_key, position, is_deleted, body): Columns| {
            (Arc::clone(&group), sort_key, position, is_deleted, body)
        })
        .await
    }

    /// Adds what a statement finds in the table.
    async fn add_table(&mut self, statement: &PreparedStatement, values: impl SerializeRow) -> PortResult<()> {
        self.add(statement, values, |columns: KeyedColumns| columns).await
    }

    async fn add<R>(
        &mut self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        keyed: impl Fn(R) -> KeyedColumns,
    ) -> PortResult<()>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let missing = self.limit.saturating_sub(self.rows.len());
        if missing == 0 {
            return Ok(());
        }
        let take = |columns| {
            let (partition_key, sort_key, position, is_deleted, body) = keyed(columns);
            let key = RowKey { partition_key, sort_key: Bytes::copy_from_slice(&sort_key) };
            self.rows.push((key, row(position, is_deleted, &body)?));
            Ok(if self.rows.len() < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        self.connection.read_while("reading rows", statement, values, missing, take).await
    }
}
