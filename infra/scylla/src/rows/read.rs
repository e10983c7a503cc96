//! Reads rows by key.

use std::collections::HashMap;

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{PortResult, Row},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{
    statements::RowStatements,
    tables::{Tables, row},
};
use crate::connection::Connection;

/// The largest number of rows of a partition key in one request. ScyllaDB refuses more than 100.
const READ_ROWS_MAX: usize = 64;

/// Sort key, position, `is_deleted`, body.
pub(super) type RowColumns = (Bytes, i64, bool, Bytes);

impl Tables {
    /// Reads rows with concurrent requests, one for the rows of a partition key.
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
            // Nearly all reads of the query service have a single key.
            let found = read_chunk(connection, statements, &[key]).await?;
            return Ok(vec![found.into_iter().next().map(|(_, row)| row)]);
        }
        let mut wanted: Vec<_> = keys.iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let by_partition_key = wanted.chunk_by(|one, other| one.partition_key == other.partition_key);
        let chunks = by_partition_key.flat_map(|keys| keys.chunks(READ_ROWS_MAX));
        let reads: Vec<_> = chunks.map(|chunk| read_chunk(connection, statements, chunk)).collect();
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

/// Reads rows of one partition key.
async fn read_chunk(
    connection: &Connection,
    statements: &RowStatements,
    keys: &[&RowKey],
) -> PortResult<Vec<(RowKey, Row)>> {
    let Some(first) = keys.first() else { return Ok(Vec::new()) };
    let partition_key = &first.partition_key;
    let columns: Vec<RowColumns> = if keys.len() == 1 {
        connection.read("reading rows", &statements.read_one, (&**partition_key, &first.sort_key[..])).await?
    } else {
        let sort_keys: Vec<_> = keys.iter().map(|key| &key.sort_key[..]).collect();
        connection.read("reading rows", &statements.read_many, (&**partition_key, sort_keys)).await?
    };
    let keyed = |(sort_key, position, is_deleted, body): RowColumns| {
        let key = RowKey { partition_key: partition_key.clone(), sort_key: Bytes::copy_from_slice(&sort_key) };
        Ok((key, row(position, is_deleted, &body)?))
    };
    columns.into_iter().map(keyed).collect()
}
