//! Rows of views. Table names come from [`ViewId`]s that were validated when their table was created.

use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{Row, RowWrite, ScanPage},
};
use rusqlite::{Connection, Row as SqlRow, Transaction, params};

use crate::database::{TransactionError, row};

pub(super) fn create_tables(transaction: &Transaction<'_>, views: &[ViewId]) -> Result<(), TransactionError> {
    for view in views {
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {view} (
                 partition_key TEXT    NOT NULL,
                 sort_key      BLOB    NOT NULL,
                 position      INTEGER NOT NULL,
                 body          BLOB,
                 PRIMARY KEY (partition_key, sort_key)
             ) WITHOUT ROWID"
        ))?;
    }
    Ok(())
}

/// Writes rows that are newer than the stored ones. Consecutive rows of one view share a statement lookup.
pub(super) fn write(transaction: &Transaction<'_>, rows: &[RowWrite]) -> Result<(), TransactionError> {
    for group in rows.chunk_by(|left, right| left.view == right.view) {
        let Some(first) = group.first() else { continue };
        let mut upsert = transaction.prepare_cached(&format!(
            "INSERT INTO {} (partition_key, sort_key, position, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (partition_key, sort_key) DO UPDATE SET position = excluded.position, body = excluded.body
             WHERE excluded.position > position",
            first.view
        ))?;
        for RowWrite { key, row, .. } in group {
            upsert.execute(params![
                &*key.partition_key,
                &key.sort_key[..],
                row.position.as_i64(),
                row.body.as_deref()
            ])?;
        }
    }
    Ok(())
}

pub(super) fn read(
    connection: &Connection,
    view: ViewId,
    keys: &[RowKey],
) -> Result<Vec<Option<Row>>, TransactionError> {
    let mut select = connection
        .prepare_cached(&format!("SELECT position, body FROM {view} WHERE partition_key = ?1 AND sort_key = ?2"))?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let mut rows = select.query(params![&*key.partition_key, &key.sort_key[..]])?;
        found.push(rows.next()?.map(|row| view_row(row, 0)).transpose()?);
    }
    Ok(found)
}

pub(super) fn scan(
    connection: &Connection,
    view: ViewId,
    partition_key: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<ScanPage, TransactionError> {
    // Reads one row more than requested, to find out whether there are more.
    let rows_max = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    // Two statements, because a single one with an OR would scan the group from its first row every time.
    let (from, sort_key) = match after {
        Some(sort_key) => (">", sort_key),
        None => (">=", &[][..]),
    };
    let mut select = connection.prepare_cached(&format!(
        "SELECT sort_key, position, body FROM {view}
         WHERE partition_key = ?1 AND sort_key {from} ?2 AND body IS NOT NULL ORDER BY sort_key LIMIT ?3"
    ))?;
    let mut rows = select.query(params![partition_key, sort_key, rows_max])?;
    let mut page = ScanPage::default();
    while let Some(row) = rows.next()? {
        if page.rows.len() == limit {
            page.more = true;
            break;
        }
        page.rows.push((row::bytes(row, 0)?, view_row(row, 1)?));
    }
    Ok(page)
}

pub(super) fn scan_all(
    connection: &Connection,
    view: ViewId,
    after: Option<&RowKey>,
    limit: usize,
) -> Result<Vec<(RowKey, Row)>, TransactionError> {
    let rows_max = i64::try_from(limit).unwrap_or(i64::MAX);
    let (partition_key, sort_key) = match after {
        Some(key) => (&*key.partition_key, &key.sort_key[..]),
        // No row has an empty partition key, so this sorts before all rows.
        None => ("", &[][..]),
    };
    let mut select = connection.prepare_cached(&format!(
        "SELECT partition_key, sort_key, position, body FROM {view}
         WHERE (partition_key, sort_key) > (?1, ?2) ORDER BY partition_key, sort_key LIMIT ?3"
    ))?;
    let mut rows = select.query(params![partition_key, sort_key, rows_max])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let partition_key: String = row.get(0)?;
        found.push((RowKey::new(&partition_key, row::bytes(row, 1)?), view_row(row, 2)?));
    }
    Ok(found)
}

/// Reads the columns `position` and `body`, starting at a column index.
fn view_row(row: &SqlRow<'_>, column: usize) -> Result<Row, TransactionError> {
    let body: Option<Vec<u8>> = row.get(column + 1)?;
    Ok(Row { position: row::position(row, column)?, body: body.map(Into::into) })
}
