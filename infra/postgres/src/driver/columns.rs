//! Conversions between SQL columns and the vocabulary's types.

use std::{error::Error, sync::Arc};

use bytes::{Bytes, BytesMut};
use diptych_kernel::{
    EventMetadata, EventTypeInterner, Fingerprint, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp,
    Version,
};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use super::error::{StatementError, corrupt_data};

type BoxedError = Box<dyn Error + Sync + Send>;

/// Microseconds from the Unix epoch (1970) to the epoch of Postgres (2000).
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A request id as a `uuid`.
#[derive(Debug)]
pub(crate) struct Uuid(pub(crate) RequestId);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        Ok(Self(RequestId::from_bytes(raw.try_into()?)))
    }

    accepts!(UUID);
}

/// A timestamp as a `timestamptz`.
#[derive(Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        out.extend_from_slice(&self.0.as_micros().saturating_sub(POSTGRES_EPOCH_MICROS).to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Timestamp::from_micros(micros.saturating_add(POSTGRES_EPOCH_MICROS))))
    }

    accepts!(TIMESTAMPTZ);
}

/// A row of a result, read by column name, so that statements may order their columns freely.
#[derive(Clone, Copy)]
pub(crate) struct SqlRow<'a>(pub(crate) &'a tokio_postgres::Row);

impl<'a> SqlRow<'a> {
    /// The first row of a result that is never empty in a database of this program.
    pub(crate) fn first(rows: &'a [tokio_postgres::Row]) -> Result<Self, StatementError> {
        rows.first().map(Self).ok_or_else(|| corrupt_data("no row in a table that always has one"))
    }

    pub(crate) fn get<T: FromSql<'a>>(self, column: &str) -> Result<T, StatementError> {
        self.0
            .try_get(column)
            .map_err(|error| corrupt_data(format_args!("column {column} with an unexpected type ({error})")))
    }

    pub(crate) fn position(self, column: &str) -> Result<Position, StatementError> {
        Position::from_i64(self.get(column)?).map_err(corrupt_data)
    }

    pub(crate) fn partition(self, column: &str) -> Result<Partition, StatementError> {
        let number: i16 = self.get(column)?;
        u16::try_from(number).map(Partition::new).map_err(|_| corrupt_data(format_args!("partition {number}")))
    }

    pub(crate) fn version(self, column: &str) -> Result<Version, StatementError> {
        let number: i64 = self.get(column)?;
        u32::try_from(number).map(Version::new).map_err(|_| corrupt_data(format_args!("version {number}")))
    }

    pub(crate) fn time(self, column: &str) -> Result<Timestamp, StatementError> {
        Ok(self.get::<Time>(column)?.0)
    }

    pub(crate) fn stream_id(self, column: &str) -> Result<StreamId, StatementError> {
        StreamId::new(self.get(column)?).map_err(corrupt_data)
    }

    pub(crate) fn request_id(self, column: &str) -> Result<RequestId, StatementError> {
        Ok(self.get::<Uuid>(column)?.0)
    }

    pub(crate) fn fingerprint(self, column: &str) -> Result<Fingerprint, StatementError> {
        let bytes: &[u8] = self.get(column)?;
        let bytes = bytes.try_into().map_err(|_| corrupt_data("a fingerprint whose length is not 32 bytes"))?;
        Ok(Fingerprint::from_bytes(bytes))
    }

    pub(crate) fn bytes(self, column: &str) -> Result<Bytes, StatementError> {
        Ok(Bytes::copy_from_slice(self.get(column)?))
    }

    /// Reads an event. All statements that return events give its columns the same names.
    pub(crate) fn event(self, types: &mut EventTypeInterner) -> Result<RecordedEvent, StatementError> {
        let traceparent: Option<&str> = self.get("traceparent")?;
        Ok(RecordedEvent {
            position: self.position("position")?,
            partition: self.partition("partition")?,
            stream_id: self.stream_id("stream_id")?,
            version: self.version("version")?,
            event_type: types.intern(self.get("event_type")?),
            payload: self.bytes("payload")?,
            metadata: EventMetadata { traceparent: traceparent.map(Arc::from) },
            request_id: self.request_id("request_id")?,
            recorded_at: self.time("recorded_at")?,
        })
    }
}
