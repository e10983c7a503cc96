//! Rows by their keys.

use std::collections::HashMap;

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{PortResult, Row},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{Tables, row, statements::Statements};
use crate::connection::Connection;

/// How many rows of a group are asked for in one request, at most. ScyllaDB refuses more than 100.
const READ_ROWS_MAX: usize = 64;

/// Sort key, position, whether it is deleted, body.
pub(super) type Columns = (Bytes, i64, bool, Bytes);

impl Tables {
    /// Reads rows, many requests at a time, one for the rows of a group.
    pub(crate) async fn read(
        &self,
        connection: &Connection,
        view: ViewId,
        keys: &[RowKey],
    ) -> PortResult<Vec<Option<Row>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let statements = &*self.statements(connection, view).await?;
        if let [key] = keys {
            // What nearly all reads of the query service are.
            let found = read_piece(connection, statements, &[key]).await?;
            return Ok(vec![found.into_iter().next().map(|(_, row)| row)]);
        }
        let mut wanted: Vec<_> = keys.iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let groups = wanted.chunk_by(|one, other| one.partition_key == other.partition_key);
        let pieces = groups.flat_map(|group| group.chunks(READ_ROWS_MAX));
        let reads: Vec<_> = pieces.map(|piece| read_piece(connection, statements, piece)).collect();
        let found = stream::iter(reads)
            .buffer_unordered(connection.requests_max())
            .try_fold(HashMap::with_capacity(wanted.len()), async |mut found, rows| {
                found.extend(rows);
                Ok(found)
            })
            .await?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }
}

/// Reads rows of one group.
async fn read_piece(
    connection: &Connection,
    statements: &Statements,
    keys: &[&RowKey],
) -> PortResult<Vec<(RowKey, Row)>> {
    let Some(first) = keys.first() else { return Ok(Vec::new()) };
    let group = &first.partition_key;
    let columns: Vec<Columns> = if keys.len() == 1 {
        connection.read("reading rows", &statements.read_one, (&**group, &first.sort_key[..])).await?
    } else {
        let sort_keys: Vec<_> = keys.iter().map(|key| &key.sort_key[..]).collect();
        connection.read("reading rows", &statements.read_many, (&**group, sort_keys)).await?
    };
    let keyed = |(sort_key, position, is_deleted, body): Columns| {
        let key = RowKey { partition_key: group.clone(), sort_key: Bytes::copy_from_slice(&sort_key) };
        Ok((key, row(position, is_deleted, &body)?))
    };
    columns.into_iter().map(keyed).collect()
}
