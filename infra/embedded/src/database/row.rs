//! Columns as the vocabulary's types.

use std::sync::Arc;

use bytes::Bytes;
use diptych_kernel::{
    EventMetadata, EventTypeInterner, Fingerprint, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp,
    Version,
    ports::{Offset, PortError},
};
use rusqlite::Row;

use super::error::Trouble;

/// A stored value that this program would never have written.
pub(crate) fn garbled(what: impl std::fmt::Display) -> Trouble {
    PortError::operator(format!("the database holds {what}: it was changed from outside or is damaged")).into()
}

pub(crate) fn position(row: &Row<'_>, column: usize) -> Result<Position, Trouble> {
    Position::from_i64(row.get(column)?).map_err(garbled)
}

pub(crate) fn partition(row: &Row<'_>, column: usize) -> Result<Partition, Trouble> {
    Ok(Partition::new(row.get(column)?))
}

pub(crate) fn version(row: &Row<'_>, column: usize) -> Result<Version, Trouble> {
    Ok(Version::new(row.get(column)?))
}

pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp, Trouble> {
    Ok(Timestamp::from_micros(row.get(column)?))
}

pub(crate) fn stream_id(row: &Row<'_>, column: usize) -> Result<StreamId, Trouble> {
    StreamId::new(text(row, column)?).map_err(garbled)
}

pub(crate) fn request_id(row: &Row<'_>, column: usize) -> Result<RequestId, Trouble> {
    let bytes = <[u8; 16]>::try_from(blob(row, column)?).map_err(|_| garbled("a request id that has not 16 bytes"))?;
    Ok(RequestId::from_bytes(bytes))
}

pub(crate) fn fingerprint(row: &Row<'_>, column: usize) -> Result<Fingerprint, Trouble> {
    let bytes = <[u8; 32]>::try_from(blob(row, column)?).map_err(|_| garbled("a fingerprint that has not 32 bytes"))?;
    Ok(Fingerprint::from_bytes(bytes))
}

pub(crate) fn offset(row: &Row<'_>, column: usize) -> Result<Offset, Trouble> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map(Offset).map_err(|_| garbled(format_args!("offset {number}")))
}

pub(crate) fn bytes(row: &Row<'_>, column: usize) -> Result<Bytes, Trouble> {
    Ok(Bytes::copy_from_slice(blob(row, column)?))
}

/// An offset as SQLite stores it.
pub(crate) fn offset_column(offset: Offset) -> Result<i64, Trouble> {
    i64::try_from(offset.0).map_err(|_| PortError::operator(format!("offset {} is too large", offset.0)).into())
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, Trouble> {
    row.get_ref(column)?.as_str().map_err(garbled)
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], Trouble> {
    row.get_ref(column)?.as_blob().map_err(garbled)
}

/// Reads an event: position, partition, stream_id, version, recorded_at, event_type, request_id, payload and traceparent, in this order.
pub(crate) fn event(row: &Row<'_>, types: &mut EventTypeInterner) -> Result<RecordedEvent, Trouble> {
    let traceparent = row.get_ref(8)?.as_str_or_null().map_err(garbled)?;
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
