//! Progress of views.

use diptych_kernel::{
    StreamId, Version,
    domain::ViewId,
    ports::{Parked, Progress, ProgressUpdate, TablePosition},
};
use rusqlite::{Connection, Transaction, params};

use crate::database::{TransactionError, row};

/// Saves progress that is not older than the stored one, increments the number of saves, and returns it.
pub(super) fn save(transaction: &Transaction<'_>, updates: &[ProgressUpdate]) -> Result<i64, TransactionError> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO progress (view, partition, position, as_of, next_offset, parked) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (view, partition) DO UPDATE
         SET position = excluded.position, as_of = excluded.as_of, next_offset = excluded.next_offset,
             parked = excluded.parked
         WHERE excluded.position >= position",
    )?;
    for ProgressUpdate { view, partition, progress } in updates {
        upsert.execute(params![
            view.to_string(),
            partition.number(),
            progress.position.as_i64(),
            progress.as_of.as_micros(),
            row::offset_column(progress.next_offset)?,
            encode_parked(&progress.parked),
        ])?;
    }
    let mut count = transaction.prepare_cached("UPDATE progress_saves SET count = count + 1 RETURNING count")?;
    Ok(count.query_row([], |row| row.get(0))?)
}

pub(super) fn saves(connection: &Connection) -> Result<i64, TransactionError> {
    Ok(connection.prepare_cached("SELECT count FROM progress_saves")?.query_row([], |row| row.get(0))?)
}

pub(super) fn load(connection: &Connection, views: &[ViewId]) -> Result<Vec<ProgressUpdate>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT partition, position, as_of, next_offset, parked FROM progress WHERE view = ?1 ORDER BY partition",
    )?;
    let mut updates = Vec::new();
    for view in views {
        let mut rows = select.query([view.to_string()])?;
        while let Some(row) = rows.next()? {
            let progress = Progress {
                position: row::position(row, 1)?,
                as_of: row::timestamp(row, 2)?,
                next_offset: row::offset(row, 3)?,
                parked: decode_parked(row.get_ref(4)?.as_blob_or_null().map_err(row::corrupt)?)?,
            };
            updates.push(ProgressUpdate { view: *view, partition: row::partition(row, 0)?, progress });
        }
    }
    Ok(updates)
}

pub(super) fn table_positions(connection: &Connection) -> Result<Vec<TablePosition>, TransactionError> {
    let mut select = connection.prepare_cached("SELECT view, partition, position FROM progress")?;
    let mut rows = select.query([])?;
    let mut positions = Vec::new();
    while let Some(row) = rows.next()? {
        let (partition, position) = (row::partition(row, 1)?, row::position(row, 2)?);
        positions.push(TablePosition { table: row.get(0)?, partition, position });
    }
    Ok(positions)
}

/// Encodes parked streams: for each one its version, the lengths of its name and of the reason, and then both texts.
/// Numbers are 4 bytes little-endian.
fn encode_parked(parked: &[Parked]) -> Option<Vec<u8>> {
    if parked.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for Parked { stream_id, version, reason } in parked {
        bytes.extend_from_slice(&version.number().to_le_bytes());
        for text in [stream_id.as_str(), reason] {
            // Texts are far shorter than 4 GiB. A longer one would get length 0, and decoding would fail.
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or_default().to_le_bytes());
        }
        bytes.extend_from_slice(stream_id.as_str().as_bytes());
        bytes.extend_from_slice(reason.as_bytes());
    }
    Some(bytes)
}

fn decode_parked(bytes: Option<&[u8]>) -> Result<Vec<Parked>, TransactionError> {
    let mut rest = bytes.unwrap_or_default();
    let mut parked = Vec::new();
    while !rest.is_empty() {
        let version = Version::new(take_number(&mut rest)?);
        let (stream_bytes, reason_bytes) = (take_number(&mut rest)?, take_number(&mut rest)?);
        let stream_id = StreamId::new(take_text(&mut rest, stream_bytes)?).map_err(row::corrupt)?;
        parked.push(Parked { stream_id, version, reason: take_text(&mut rest, reason_bytes)?.to_owned() });
    }
    Ok(parked)
}

fn take_number(rest: &mut &[u8]) -> Result<u32, TransactionError> {
    let (number, after) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;
    *rest = after;
    Ok(u32::from_le_bytes(*number))
}

fn take_text<'a>(rest: &mut &'a [u8], length: u32) -> Result<&'a str, TransactionError> {
    let length = usize::try_from(length).map_err(|_| truncated())?;
    let (text, after) = rest.split_at_checked(length).ok_or_else(truncated)?;
    *rest = after;
    std::str::from_utf8(text).map_err(row::corrupt)
}

fn truncated() -> TransactionError {
    row::corrupt("a truncated list of parked streams")
}
