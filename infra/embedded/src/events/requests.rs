//! Request ids. A committed request is stored as part of its events, and its receipt is computed from them, so it can
//! never change. Refused requests have a table of their own.

use diptych_kernel::{Position, Receipt, ReceiptStreams, RequestId, StreamReceipt, Timestamp, ports::StoredRequest};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{recent::Horizon, refusals};
use crate::database::{TransactionError, row};

/// Returns those of the requests that are stored and not forgotten. Each comes with its position if it is in the recent
/// index.
pub(super) fn find(
    connection: &Connection,
    horizon: Horizon,
    requests: &[(RequestId, Option<Position>)],
) -> Result<Vec<StoredRequest>, TransactionError> {
    let mut select = connection.prepare_cached("SELECT position FROM events_by_request WHERE request_id = ?1")?;
    let (mut found, any_refusals) = (Vec::new(), refusals::any(connection)?);
    for (request_id, recent) in requests {
        let position = match recent {
            Some(position) => Some(position.as_i64()),
            None => select.query_row([request_id.as_bytes()], |row| row.get(0)).optional()?,
        };
        if let Some(position) = position.filter(|position| *position > horizon.forgotten_up_to.as_i64()) {
            found.push(read(connection, *request_id, position)?);
        } else if any_refusals {
            found.extend(refusals::find(connection, *request_id)?);
        }
    }
    Ok(found)
}

/// Reads the request whose first event has position `first`. Its events are consecutive and in one transaction.
fn read(connection: &Connection, request_id: RequestId, first: i64) -> Result<StoredRequest, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT position, partition, stream_id, version, recorded_at, request_id, fingerprint FROM events
         WHERE position >= ?1 ORDER BY position",
    )?;
    let mut rows = select.query([first])?;
    let (mut streams, mut first_event) = (ReceiptStreams::default(), None);
    while let Some(row) = rows.next()? {
        let position = row::position(row, 0)?;
        let (transaction_id, fingerprint, committed_at) = match first_event {
            Some(first_event) => first_event,
            None => (position.transaction_id(), row::fingerprint(row, 6)?, row::timestamp(row, 4)?),
        };
        if position.transaction_id() != transaction_id || row::request_id(row, 5)? != request_id {
            break;
        }
        first_event = Some((transaction_id, fingerprint, committed_at));
        streams.add_event(StreamReceipt {
            position,
            partition: row::partition(row, 1)?,
            stream_id: row::stream_id(row, 2)?,
            version: row::version(row, 3)?,
        });
    }
    let (_, fingerprint, committed_at) =
        first_event.ok_or_else(|| row::corrupt(format_args!("no events of request {request_id}")))?;
    let receipt = Receipt { request_id, streams: streams.into_vec(), committed_at };
    Ok(StoredRequest::committed(fingerprint, receipt))
}

/// Forgets up to `limit` requests recorded before a time. Scans the events, which are in order of time, from where the
/// last call stopped.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    recorded_before: Timestamp,
    limit: usize,
) -> Result<usize, TransactionError> {
    let mut walk = transaction.prepare_cached(
        "SELECT position, request_id, recorded_at FROM events
         WHERE position > (SELECT forgotten_up_to FROM event_index) ORDER BY position",
    )?;
    let mut delete =
        transaction.prepare_cached("DELETE FROM events_by_request WHERE request_id = ?1 AND position = ?2")?;
    let mut rows = walk.query([])?;
    let (mut deleted, mut current, mut reached) = (0, None, None);
    while let Some(row) = rows.next()? {
        let (position, request_id) = (row::position(row, 0)?, row::request_id(row, 1)?);
        let is_next_request = current != Some((position.transaction_id(), request_id));
        if row::timestamp(row, 2)? >= recorded_before || (is_next_request && deleted >= limit) {
            break;
        }
        if is_next_request {
            delete.execute(params![request_id.as_bytes(), position.as_i64()])?;
            deleted += 1;
            current = Some((position.transaction_id(), request_id));
        }
        reached = Some(position);
    }
    if let Some(reached) = reached {
        transaction.prepare_cached("UPDATE event_index SET forgotten_up_to = ?1")?.execute([reached.as_i64()])?;
    }
    Ok(deleted)
}
