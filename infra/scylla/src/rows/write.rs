//! Writes rows.

use std::{
    cmp::Ordering,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use diptych_kernel::{
    domain::ViewId,
    ports::{PortResult, RowWrite},
};
use futures::{StreamExt, TryStreamExt, stream};

use super::{statements::RowStatements, tables::Tables};
use crate::{connection::Connection, timestamp};

/// The largest number of rows of a partition key in one request.
const BATCH_ROWS_MAX: usize = 100;
/// The largest number of bytes of bodies in a request of several rows. Far below the limit of a server for one mutation
/// (megabytes).
const BATCH_BYTES_MAX: usize = 128 * 1024;

/// The values of the statement: keys, position, `is_deleted`, body, write timestamp.
type Values<'a> = (&'a str, &'a [u8], i64, bool, &'a [u8], i64);

/// Rows of one partition key that are written by one request.
struct WriteChunk<'a> {
    statements: &'a HashMap<ViewId, Arc<RowStatements>>,
    rows: &'a [&'a RowWrite],
}

impl Tables {
    /// Writes rows with concurrent requests. After a failure some are written and some are not; requests in flight may
    /// still succeed.
    ///
    /// Rows of one partition key are written together, even of several views: they are on the same nodes, and a server
    /// applies them as one mutation. Rows of different keys are not, as one node would have to coordinate them for all
    /// others. A partition key with more rows than a request may have is written oldest first, one request after the
    /// other, so that a scan never finds a row without the older ones, even after a failure.
    pub(crate) async fn write(&self, connection: &Connection, rows: &[RowWrite]) -> PortResult<()> {
        let mut statements = HashMap::new();
        for view in rows.iter().map(|write| write.view) {
            if let Entry::Vacant(vacant) = statements.entry(view) {
                vacant.insert(self.statements(connection, view).await?);
            }
        }
        let rows = newest_of_each(rows);
        let by_partition_key = rows.chunk_by(|one, other| one.key.partition_key == other.key.partition_key);
        let statements = &statements;
        stream::iter(by_partition_key)
            .map(Ok)
            .try_for_each_concurrent(connection.requests_max(), async |rows| {
                for rows in split_into_chunks(rows) {
                    WriteChunk { statements, rows }.write(connection).await?;
                }
                Ok(())
            })
            .await
    }
}

impl WriteChunk<'_> {
    async fn write(self, connection: &Connection) -> PortResult<()> {
        let statement = |write: &&RowWrite| self.statements.get(&write.view).map(|statements| &statements.write);
        let statements: Vec<_> = self.rows.iter().filter_map(statement).collect();
        if let ([only], [statement]) = (self.rows, &*statements) {
            return connection.execute("writing a row", statement, values(only)).await.map(|_| ());
        }
        let values: Vec<_> = self.rows.iter().map(|row| values(row)).collect();
        connection.execute_batch("writing rows of a partition key", statements, values).await
    }
}

/// Keeps of each key the row with the largest position, which is the one that would remain. Sorts the rows by partition
/// key, the oldest first.
fn newest_of_each(rows: &[RowWrite]) -> Vec<&RowWrite> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_unstable_by(|one, other| {
        let newest_first = other.row.position.cmp(&one.row.position);
        compare(one, other).then(newest_first)
    });
    rows.dedup_by(|one, other| compare(one, other).is_eq());
    rows.sort_by(|one, other| {
        let by_partition_key = one.key.partition_key.cmp(&other.key.partition_key);
        by_partition_key.then(one.row.position.cmp(&other.row.position))
    });
    rows
}

/// Compares by partition key, view and sort key.
fn compare(one: &RowWrite, other: &RowWrite) -> Ordering {
    let by_partition_key = one.key.partition_key.cmp(&other.key.partition_key);
    by_partition_key.then(one.view.cmp(&other.view)).then_with(|| one.key.sort_key.cmp(&other.key.sort_key))
}

/// Splits the rows of a partition key into requests of limited size.
fn split_into_chunks<'a>(rows: &'a [&'a RowWrite]) -> impl Iterator<Item = &'a [&'a RowWrite]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |write: &&&RowWrite| {
            bytes += write.row.body.as_ref().map_or(0, |body| body.len());
            bytes <= BATCH_BYTES_MAX
        };
        let count = rest.iter().take(BATCH_ROWS_MAX).take_while(fits).count();
        let (chunk, after) = rest.split_at_checked(count.max(1))?;
        rest = after;
        Some(chunk)
    })
}

fn values(write: &RowWrite) -> Values<'_> {
    let RowWrite { key, row, .. } = write;
    let body = row.body.as_deref().unwrap_or_default();
    let timestamp = timestamp::of_position(row.position);
    (&key.partition_key, &key.sort_key, row.position.as_i64(), row.body.is_none(), body, timestamp)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use diptych_kernel::{
        Position,
        domain::{RowKey, ViewId},
        ports::Row,
    };

    use super::*;

    fn write(partition_key: &str, sort_key: u8, position: i64, bytes: usize) -> RowWrite {
        RowWrite {
            view: ViewId { name: "view", generation: 1 },
            key: RowKey::new(partition_key, vec![sort_key]),
            row: Row { position: Position::from_i64(position).unwrap(), body: Some(vec![0; bytes].into()) },
        }
    }

    #[test]
    fn the_newest_row_of_a_key_is_written_once() {
        let other_view = RowWrite { view: ViewId { name: "other", generation: 1 }, ..write("a", 1, 2, 0) };
        let rows = [write("b", 1, 1, 0), write("a", 1, 3, 0), write("a", 1, 5, 0), write("a", 1, 4, 0), other_view];
        assert_eq!(newest_of_each(&rows), [&rows[4], &rows[2], &rows[0]], "rows of a partition key are adjacent");
    }

    #[test]
    fn rows_of_a_partition_key_are_written_oldest_first_whatever_their_sort_keys() {
        let newest_first = |partition_key: &'static str| {
            (0..150_u8).map(move |number| write(partition_key, number, 1_000 - i64::from(number), 1))
        };
        let rows: Vec<_> = newest_first("a").chain(newest_first("b")).collect();
        let rows = newest_of_each(&rows);
        for group in rows.chunk_by(|one, other| one.key.partition_key == other.key.partition_key) {
            let positions: Vec<_> = split_into_chunks(group).flatten().map(|write| write.row.position).collect();
            assert!(positions.len() == 150 && positions.is_sorted());
        }
    }

    #[test]
    fn chunks_are_limited_by_rows_and_by_bytes() {
        let lengths = |rows: &[RowWrite]| {
            let rows: Vec<_> = rows.iter().collect();
            split_into_chunks(&rows).map(<[_]>::len).collect::<Vec<_>>()
        };
        let many: Vec<_> = (0..250).map(|number| write("a", u8::try_from(number).unwrap(), 1, 1)).collect();
        assert_eq!(lengths(&many), [100, 100, 50]);
        let large = [0, 50_000, 100_000, 300_000, 10, 10].map(|bytes| write("a", 1, 1, bytes));
        assert_eq!(lengths(&large), [2, 1, 1, 2]);
        assert!(lengths(&[]).is_empty());
    }

    #[test]
    fn a_deleted_row_has_a_value_in_every_cell() {
        let mut deleted = write("a", 1, 7, 3);
        deleted.row.body = None;
        assert_eq!(values(&deleted), ("a", &[1][..], 7, true, &[][..], 7 - (1 << 62)));
        deleted.row.body = Some(Bytes::new());
        assert_eq!(values(&deleted), ("a", &[1][..], 7, false, &[][..], 7 - (1 << 62)));
    }
}
