//! Refusals: each claims its request id.

use diptych_kernel::{
    RequestId, StreamId, Timestamp, Version,
    ports::{
        Conflict, PortError, PortResult, REFUSAL_BYTES_MAX, RefusalOutcome, RefusalUnit, StoredOutcome, StoredRequest,
    },
};
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, params};

use super::{append, recent::RecentIndex, requests};
use crate::database::{TransactionError, row};

/// Rejects refusals that violate the contract of [`refuse`](diptych_kernel::ports::EventStore::refuse).
pub(super) fn check(refusals: &[RefusalUnit]) -> PortResult<()> {
    for RefusalUnit { request_id, streams, refusal, .. } in refusals {
        if streams.is_empty() || refusal.len() > REFUSAL_BYTES_MAX {
            return Err(PortError::operator(format!(
                "the refusal of request {request_id} names no stream, or has {} bytes: at most {REFUSAL_BYTES_MAX} are \
                 stored",
                refusal.len()
            )));
        }
    }
    Ok(())
}

/// Stores each of the refusals whose request id is new and whose streams have not changed.
pub(super) fn store(
    transaction: &Transaction<'_>,
    recent: &Mutex<RecentIndex>,
    refusals: &[RefusalUnit],
    now: Timestamp,
) -> Result<Vec<RefusalOutcome>, TransactionError> {
    append::check_not_suspended(transaction)?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO refusals (recorded_at, request_id, fingerprint, refusal) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut outcomes = Vec::with_capacity(refusals.len());
    for unit in refusals {
        let (horizon, position, versions) = {
            let mut recent = recent.lock();
            let horizon = recent.catch_up(transaction)?;
            let versions: Vec<_> = unit.streams.iter().map(|(stream_id, _)| recent.version(stream_id)).collect();
            (horizon, recent.request(&unit.request_id), versions)
        };
        if let Some(done) = requests::find(transaction, horizon, &[(unit.request_id, position)])?.pop() {
            outcomes.push(RefusalOutcome::Done(done));
            continue;
        }
        let conflicts = conflicts(transaction, &unit.streams, &versions)?;
        if !conflicts.is_empty() {
            outcomes.push(RefusalOutcome::Conflicts(conflicts));
            continue;
        }
        insert.execute(params![
            now.max(horizon.recorded_at).as_micros(),
            unit.request_id.as_bytes(),
            unit.fingerprint.as_bytes(),
            &unit.refusal[..],
        ])?;
        outcomes.push(RefusalOutcome::Stored);
    }
    Ok(outcomes)
}

fn conflicts(
    transaction: &Transaction<'_>,
    streams: &[(StreamId, Version)],
    recent: &[Option<Version>],
) -> Result<Vec<Conflict>, TransactionError> {
    let mut conflicts = Vec::new();
    for ((stream_id, expected), recent) in streams.iter().zip(recent) {
        let (expected, actual) = (*expected, append::version(transaction, stream_id, *recent)?);
        if actual != expected {
            conflicts.push(Conflict { stream_id: stream_id.clone(), expected, actual });
        }
    }
    Ok(conflicts)
}

/// Returns whether any refusal is stored, so that a database without refusals looks up none.
pub(super) fn any(connection: &Connection) -> Result<bool, TransactionError> {
    let mut select = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM refusals)")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

/// Returns the stored refusal of a request.
pub(super) fn find(connection: &Connection, request_id: RequestId) -> Result<Option<StoredRequest>, TransactionError> {
    let mut select = connection.prepare_cached("SELECT fingerprint, refusal FROM refusals WHERE request_id = ?1")?;
    let mut rows = select.query([request_id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (fingerprint, outcome) = (row::fingerprint(row, 0)?, StoredOutcome::Refused(row::bytes(row, 1)?));
    Ok(Some(StoredRequest { request_id, fingerprint, outcome }))
}

/// Forgets those of the first `limit` refusals that were recorded before a time. Returns their number.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    recorded_before: Timestamp,
    limit: usize,
) -> Result<usize, TransactionError> {
    // One that was recorded while the clock was far ahead does not keep those after it.
    let mut delete = transaction.prepare_cached(
        "DELETE FROM refusals
         WHERE number IN (SELECT number FROM refusals ORDER BY number LIMIT ?1) AND recorded_at < ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(delete.execute(params![limit, recorded_before.as_micros()])?)
}
