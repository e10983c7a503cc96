//! Lease and cursor of the queue of commands, stored in one row.

use std::time::Duration;

use diptych_kernel::{
    Timestamp,
    ports::{Fence, Offset, QueueLease},
};
use rusqlite::{Connection, Transaction, params};

use super::relay::later;
use crate::database::{TransactionError, row};

/// Takes or extends the lease, unless another owner holds it.
pub(super) fn acquire(
    transaction: &Transaction<'_>,
    owner: &str,
    now: Timestamp,
    duration: Duration,
) -> Result<QueueLease, TransactionError> {
    let mut select = transaction.prepare_cached("SELECT fence, owner, expires_at, done_before FROM command_queue")?;
    let mut rows = select.query([])?;
    let stored = rows.next()?.ok_or_else(|| row::corrupt("no row in table command_queue"))?;
    let (fence, holder): (i64, Option<String>) = (stored.get(0)?, stored.get(1)?);
    let (is_running, done_before) = (row::timestamp(stored, 2)? > now, row::offset(stored, 3)?);
    let fence = match &holder {
        Some(holder) if is_running && holder == owner => fence,
        Some(_) if is_running => return Ok(QueueLease { fence: None, done_before }),
        _ => fence + 1,
    };
    transaction
        .prepare_cached("UPDATE command_queue SET fence = ?1, owner = ?2, expires_at = ?3")?
        .execute(params![fence, owner, later(now, duration).as_micros()])?;
    Ok(QueueLease { fence: Some(Fence(fence.unsigned_abs())), done_before })
}

/// Reads the cursor.
pub(super) fn done_before(connection: &Connection) -> Result<Offset, TransactionError> {
    let mut select = connection.prepare_cached("SELECT done_before FROM command_queue")?;
    let mut rows = select.query([])?;
    row::offset(rows.next()?.ok_or_else(|| row::corrupt("no row in table command_queue"))?, 0)
}

/// Moves the cursor if `fence` is the newest one and was not released. An expired lease that no other owner has taken
/// still counts.
pub(super) fn move_cursor(
    transaction: &Transaction<'_>,
    fence: Fence,
    done_before: Offset,
    now: Timestamp,
    duration: Duration,
) -> Result<bool, TransactionError> {
    let Ok(fence) = i64::try_from(fence.0) else { return Ok(false) };
    let moved = transaction
        .prepare_cached(
            "UPDATE command_queue SET done_before = ?1, expires_at = MAX(expires_at, ?2)
             WHERE fence = ?3 AND owner IS NOT NULL",
        )?
        .execute(params![row::offset_column(done_before)?, later(now, duration).as_micros(), fence])?;
    Ok(moved > 0)
}

/// Releases the lease if it is held under `fence`.
pub(super) fn release(transaction: &Transaction<'_>, fence: Fence) -> Result<(), TransactionError> {
    let Ok(fence) = i64::try_from(fence.0) else { return Ok(()) };
    let mut release =
        transaction.prepare_cached("UPDATE command_queue SET owner = NULL, expires_at = 0 WHERE fence = ?1")?;
    release.execute([fence])?;
    Ok(())
}
