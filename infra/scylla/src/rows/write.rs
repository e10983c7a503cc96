//! Writing rows.

use std::{cmp::Reverse, sync::Arc};

use diptych_kernel::ports::{PortResult, RowWrite};
use futures::{StreamExt, TryStreamExt, stream};
use scylla::statement::batch::{Batch, BatchType};

use super::{Tables, statements::Statements};
use crate::{connection::Connection, timestamp};

/// How many rows of a group go in one request, at most.
const BATCH_ROWS_MAX: usize = 100;
/// How many bytes of bodies, at most, if it is more than one row. Far below what a server takes as one mutation (megabytes).
const BATCH_BYTES_MAX: usize = 128 * 1024;

/// A row as the statement wants it: keys, position, whether it is deleted, body, write timestamp.
type Values<'a> = (&'a str, &'a [u8], i64, bool, &'a [u8], i64);

/// Rows of one group that go in one request.
struct Piece<'a> {
    statements: Arc<Statements>,
    rows: &'a [&'a RowWrite],
}

impl Tables {
    /// Writes rows, many requests at a time. After a failure some are written and some are not; those under way may still be.
    ///
    /// Rows of one group go together: the server makes one mutation of them. Rows of different groups do not, as that would make one node
    /// a go-between for all others.
    pub(crate) async fn write(&self, connection: &Connection, rows: &[RowWrite]) -> PortResult<()> {
        let rows = newest_of_each(rows);
        let mut pieces = Vec::with_capacity(rows.len());
        for of_view in rows.chunk_by(|one, other| one.view == other.view) {
            let Some(first) = of_view.first() else { continue };
            let statements = self.statements(connection, first.view).await?;
            for group in of_view.chunk_by(|one, other| one.key.partition_key == other.key.partition_key) {
                let cut = cut(group).map(|rows| Piece { statements: Arc::clone(&statements), rows });
                pieces.extend(cut);
            }
        }
        stream::iter(pieces)
            .map(Ok)
            .try_for_each_concurrent(connection.requests_max(), |piece| async move { piece.write(connection).await })
            .await
    }
}

impl Piece<'_> {
    async fn write(&self, connection: &Connection) -> PortResult<()> {
        let statement = &self.statements.write;
        if let [only] = self.rows {
            return connection.execute("writing a row", statement, values(only)).await.map(|_| ());
        }
        let statements = vec![statement.clone().into(); self.rows.len()];
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        let values: Vec<_> = self.rows.iter().map(|row| values(row)).collect();
        connection.execute_batch("writing rows of a group", &batch, values).await
    }
}

/// In the order of views and keys. Where a key is there more than once, the larger position is all that would be left of it.
fn newest_of_each(rows: &[RowWrite]) -> Vec<&RowWrite> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_unstable_by_key(|write| (write.view, &write.key, Reverse(write.row.position)));
    rows.dedup_by_key(|write| (write.view, &write.key));
    rows
}

/// Cuts a group into pieces that are not too large.
fn cut<'a>(group: &'a [&'a RowWrite]) -> impl Iterator<Item = &'a [&'a RowWrite]> {
    let mut rest = group;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |write: &&&RowWrite| {
            bytes += write.row.body.as_ref().map_or(0, |body| body.len());
            bytes <= BATCH_BYTES_MAX
        };
        let count = rest.iter().take(BATCH_ROWS_MAX).take_while(fits).count();
        let (piece, after) = rest.split_at_checked(count.max(1))?;
        rest = after;
        Some(piece)
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

    fn write(group: &str, sort_key: u8, position: i64, bytes: usize) -> RowWrite {
        RowWrite {
            view: ViewId { name: "view", generation: 1 },
            key: RowKey::new(group, vec![sort_key]),
            row: Row { position: Position::from_i64(position).unwrap(), body: Some(vec![0; bytes].into()) },
        }
    }

    #[test]
    fn the_newest_of_a_key_is_written_once() {
        let other_view = RowWrite { view: ViewId { name: "other", generation: 1 }, ..write("a", 1, 2, 0) };
        let rows = [write("b", 1, 1, 0), write("a", 1, 3, 0), write("a", 1, 5, 0), write("a", 1, 4, 0), other_view];
        assert_eq!(newest_of_each(&rows), [&rows[4], &rows[2], &rows[0]]);
    }

    #[test]
    fn groups_are_cut_by_rows_and_by_bytes() {
        let lengths = |rows: &[RowWrite]| {
            let rows: Vec<_> = rows.iter().collect();
            cut(&rows).map(<[_]>::len).collect::<Vec<_>>()
        };
        let many: Vec<_> = (0..250).map(|number| write("a", u8::try_from(number).unwrap(), 1, 1)).collect();
        assert_eq!(lengths(&many), [100, 100, 50]);
        let large = [0, 50_000, 100_000, 300_000, 10, 10].map(|bytes| write("a", 1, 1, bytes));
        assert_eq!(lengths(&large), [2, 1, 1, 2]);
        assert!(lengths(&[]).is_empty());
    }

    #[test]
    fn a_deleted_row_has_values_in_all_its_cells() {
        let mut deleted = write("a", 1, 7, 3);
        deleted.row.body = None;
        assert_eq!(values(&deleted), ("a", &[1][..], 7, true, &[][..], 7 - (1 << 62)));
        deleted.row.body = Some(Bytes::new());
        assert_eq!(values(&deleted), ("a", &[1][..], 7, false, &[][..], 7 - (1 << 62)));
    }
}
