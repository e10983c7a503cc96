//! Query services that read tables of views.

use diptych_kernel::{Timestamp, domain::ViewId, ports::TableReader};
use rusqlite::{Connection, Transaction, params};

use crate::database::TransactionError;

/// Adds a reader until a time, and forgets those that have expired now.
pub(super) fn add(
    transaction: &Transaction<'_>,
    instance: &str,
    views: &[ViewId],
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), TransactionError> {
    transaction.prepare_cached("DELETE FROM view_readers WHERE expires_at <= ?1")?.execute([now.as_micros()])?;
    let mut upsert = transaction
        .prepare_cached("INSERT OR REPLACE INTO view_readers (view, instance, expires_at) VALUES (?1, ?2, ?3)")?;
    for view in views {
        upsert.execute(params![view.to_string(), instance, expires_at.as_micros()])?;
    }
    Ok(())
}

pub(super) fn remove(transaction: &Transaction<'_>, instance: &str, views: &[ViewId]) -> Result<(), TransactionError> {
    let mut delete = transaction.prepare_cached("DELETE FROM view_readers WHERE view = ?1 AND instance = ?2")?;
    for view in views {
        delete.execute(params![view.to_string(), instance])?;
    }
    Ok(())
}

pub(super) fn unexpired(connection: &Connection, now: Timestamp) -> Result<Vec<TableReader>, TransactionError> {
    let mut select = connection
        .prepare_cached("SELECT view, instance FROM view_readers WHERE expires_at > ?1 ORDER BY view, instance")?;
    let mut rows = select.query([now.as_micros()])?;
    let mut readers = Vec::new();
    while let Some(row) = rows.next()? {
        readers.push(TableReader { table: row.get(0)?, instance: row.get(1)? });
    }
    Ok(readers)
}
