//! The relay's lease and cursor, stored in one row.

use std::time::Duration;

use diptych_kernel::{
    Partitions, Position, Timestamp,
    ports::{CursorOutcome, Fence, LeaseOutcome, PortError, RelayCursor},
};
use rusqlite::{Transaction, params};

use crate::database::{TransactionError, row};

struct RelayRow {
    fence: i64,
    owner: Option<String>,
    expires_at: Timestamp,
    published_up_to: Position,
    last_positions: Option<Vec<u8>>,
}

fn read(transaction: &Transaction<'_>) -> Result<RelayRow, TransactionError> {
    let mut select =
        transaction.prepare_cached("SELECT fence, owner, expires_at, published_up_to, last_positions FROM relay")?;
    let mut rows = select.query([])?;
    let row = rows.next()?.ok_or_else(|| row::corrupt("no row in table relay"))?;
    Ok(RelayRow {
        fence: row.get(0)?,
        owner: row.get(1)?,
        expires_at: row::timestamp(row, 2)?,
        published_up_to: row::position(row, 3)?,
        last_positions: row.get(4)?,
    })
}

/// Takes or extends the lease.
pub(super) fn acquire(
    transaction: &Transaction<'_>,
    owner: &str,
    now: Timestamp,
    duration: Duration,
    partitions: Partitions,
) -> Result<LeaseOutcome, TransactionError> {
    let row = read(transaction)?;
    let is_running = row.expires_at > now;
    let fence = match &row.owner {
        Some(holder) if is_running && holder == owner => row.fence,
        Some(holder) if is_running => {
            return Ok(LeaseOutcome::HeldByOther { owner: holder.clone(), expires_at: row.expires_at });
        }
        _ => row.fence + 1,
    };
    transaction.prepare_cached("UPDATE relay SET fence = ?1, owner = ?2, expires_at = ?3")?.execute(params![
        fence,
        owner,
        later(now, duration).as_micros()
    ])?;
    Ok(LeaseOutcome::Held { fence: Fence(fence.unsigned_abs()), cursor: row.cursor(partitions)? })
}

/// Moves the cursor if `fence` is the newest one and was not released. An expired lease that no other owner has taken
/// still counts.
pub(super) fn move_cursor(
    transaction: &Transaction<'_>,
    fence: Fence,
    cursor: &RelayCursor,
    now: Timestamp,
    duration: Duration,
) -> Result<CursorOutcome, TransactionError> {
    let row = read(transaction)?;
    if row.owner.is_none() || row.fence.unsigned_abs() != fence.0 {
        return Ok(CursorOutcome::Fenced);
    }
    let published_up_to = cursor.published_up_to.max(row.published_up_to);
    let last_positions = match &row.last_positions {
        Some(stored) => merge(&cursor.last_positions, &decode(stored)?)?,
        None => cursor.last_positions.clone(),
    };
    transaction
        .prepare_cached("UPDATE relay SET published_up_to = ?1, last_positions = ?2, expires_at = MAX(expires_at, ?3)")?
        .execute(params![published_up_to.as_i64(), encode(&last_positions), later(now, duration).as_micros()])?;
    Ok(CursorOutcome::Moved)
}

/// Releases the lease if it is held under `fence`.
pub(super) fn release(transaction: &Transaction<'_>, fence: Fence) -> Result<(), TransactionError> {
    let Ok(fence) = i64::try_from(fence.0) else { return Ok(()) };
    transaction.prepare_cached("UPDATE relay SET owner = NULL, expires_at = 0 WHERE fence = ?1")?.execute([fence])?;
    Ok(())
}

impl RelayRow {
    fn cursor(&self, partitions: Partitions) -> Result<RelayCursor, TransactionError> {
        let mut cursor = RelayCursor::start(partitions);
        cursor.published_up_to = self.published_up_to;
        if let Some(stored) = &self.last_positions {
            cursor.last_positions = merge(&cursor.last_positions, &decode(stored)?)?;
        }
        Ok(cursor)
    }
}

pub(super) fn later(now: Timestamp, duration: Duration) -> Timestamp {
    now.plus_micros(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// Returns the larger position of each partition.
fn merge(left: &[Position], right: &[Position]) -> Result<Vec<Position>, TransactionError> {
    if left.len() != right.len() {
        let message = format!("the cursor has {} partitions, but the stored one has {}", left.len(), right.len());
        return Err(PortError::operator(message).into());
    }
    Ok(left.iter().zip(right).map(|(left, right)| *left.max(right)).collect())
}

fn encode(positions: &[Position]) -> Vec<u8> {
    positions.iter().flat_map(|position| position.as_i64().to_le_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Result<Vec<Position>, TransactionError> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(row::corrupt("a truncated relay cursor"));
    }
    numbers.iter().map(|number| Position::from_i64(i64::from_le_bytes(*number)).map_err(row::corrupt)).collect()
}
