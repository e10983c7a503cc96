//! Conversion of columns to vocabulary types.

use std::sync::Arc;

use bytes::Bytes;
use diptych_kernel::{
    EventMetadata, EventTypeInterner, Fingerprint, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp,
    Version,
    ports::{Offset, PortError},
};
use rusqlite::Row;

use super::error::TransactionError;

/// Returns the error for a stored value that this program would never have written.
pub(crate) fn corrupt(what: impl std::fmt::Display) -> TransactionError {
    PortError::operator(format!(
        "the database contains invalid data ({what}): it is damaged or was modified by another program"
    ))
    .into()
}

pub(crate) fn position(row: &Row<'_>, column: usize) -> Result<Position, TransactionError> {
    Position::from_i64(row.get(column)?).map_err(corrupt)
}

pub(crate) fn partition(row: &Row<'_>, column: usize) -> Result<Partition, TransactionError> {
    Ok(Partition::new(row.get(column)?))
}

pub(crate) fn version(row: &Row<'_>, column: usize) -> Result<Version, TransactionError> {
    Ok(Version::new(row.get(column)?))
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp, TransactionError> {
    Ok(Timestamp::from_micros(row.get(column)?))
}

pub(crate) fn stream_id(row: &Row<'_>, column: usize) -> Result<StreamId, TransactionError> {
    StreamId::new(text(row, column)?).map_err(corrupt)
}

pub(crate) fn request_id(row: &Row<'_>, column: usize) -> Result<RequestId, TransactionError> {
    let bytes =
        <[u8; 16]>::try_from(blob(row, column)?).map_err(|_| corrupt("a request id that is not 16 bytes long"))?;
    Ok(RequestId::from_bytes(bytes))
}

pub(crate) fn fingerprint(row: &Row<'_>, column: usize) -> Result<Fingerprint, TransactionError> {
    let bytes =
        <[u8; 32]>::try_from(blob(row, column)?).map_err(|_| corrupt("a fingerprint that is not 32 bytes long"))?;
    Ok(Fingerprint::from_bytes(bytes))
}

pub(crate) fn offset(row: &Row<'_>, column: usize) -> Result<Offset, TransactionError> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map(Offset).map_err(|_| corrupt(format_args!("offset {number}")))
}

pub(crate) fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes, TransactionError> {
    Ok(Bytes::copy_from_slice(blob(row, column)?))
}

/// Converts an offset to its column value.
pub(crate) fn offset_column(offset: Offset) -> Result<i64, TransactionError> {
    i64::try_from(offset.0).map_err(|_| PortError::operator(format!("offset {} is too large", offset.0)).into())
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, TransactionError> {
    row.get_ref(column)?.as_str().map_err(corrupt)
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], TransactionError> {
    row.get_ref(column)?.as_blob().map_err(corrupt)
}

/// Reads an event from the columns position, partition, stream_id, version, recorded_at, event_type, request_id,
/// payload and traceparent, in this order.
pub(crate) fn event(row: &Row<'_>, types: &mut EventTypeInterner) -> Result<RecordedEvent, TransactionError> {
    let traceparent = row.get_ref(8)?.as_str_or_null().map_err(corrupt)?;
    Ok(RecordedEvent {
        position: position(row, 0)?,
        partition: partition(row, 1)?,
        stream_id: stream_id(row, 2)?,
        version: version(row, 3)?,
        recorded_at: timestamp(row, 4)?,
        event_type: types.intern(text(row, 5)?),
        request_id: request_id(row, 6)?,
        payload: bytes(row, 7)?,
        metadata: EventMetadata { traceparent: traceparent.map(Arc::from) },
    })
}
