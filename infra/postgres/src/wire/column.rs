//! Columns as the vocabulary's types.

use std::{error::Error, fmt::Display, sync::Arc};

use bytes::{Bytes, BytesMut};
use diptych_kernel::{
    EventMetadata, EventTypeInterner, Fingerprint, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp,
    Version,
};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use super::Trouble;

type Anything = Box<dyn Error + Sync + Send>;

/// Microseconds from 1970, where this program counts from, to 2000, where Postgres does.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A request id as a `uuid`.
#[derive(Debug)]
pub(crate) struct Uuid(pub(crate) RequestId);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Anything> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Anything> {
        Ok(Self(RequestId::from_bytes(raw.try_into()?)))
    }

    accepts!(UUID);
}

/// A moment as a `timestamptz`.
#[derive(Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

impl ToSql for Time {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Anything> {
        out.extend_from_slice(&self.0.as_micros().saturating_sub(POSTGRES_EPOCH_MICROS).to_be_bytes());
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Time {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Anything> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Timestamp::from_micros(micros.saturating_add(POSTGRES_EPOCH_MICROS))))
    }

    accepts!(TIMESTAMPTZ);
}

/// A stored value that this program would never have written.
pub(crate) fn garbled(what: impl Display) -> Trouble {
    Trouble::Unreadable(what.to_string())
}

/// A row of an answer. Columns are named, so that a statement may order them as it likes.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a>(pub(crate) &'a tokio_postgres::Row);

impl<'a> Row<'a> {
    /// The first row of an answer that has one in any database of this program.
    pub(crate) fn first(rows: &'a [tokio_postgres::Row]) -> Result<Self, Trouble> {
        rows.first().map(Self).ok_or_else(|| garbled("no row where there is one from the start"))
    }

    pub(crate) fn get<T: FromSql<'a>>(self, column: &str) -> Result<T, Trouble> {
        self.0.try_get(column).map_err(|error| garbled(format_args!("a column {column} of another type ({error})")))
    }

    pub(crate) fn position(self, column: &str) -> Result<Position, Trouble> {
        Position::from_i64(self.get(column)?).map_err(garbled)
    }

    pub(crate) fn partition(self, column: &str) -> Result<Partition, Trouble> {
        let number: i16 = self.get(column)?;
        u16::try_from(number).map(Partition::new).map_err(|_| garbled(format_args!("partition {number}")))
    }

    pub(crate) fn version(self, column: &str) -> Result<Version, Trouble> {
        let number: i64 = self.get(column)?;
        u32::try_from(number).map(Version::new).map_err(|_| garbled(format_args!("version {number}")))
    }

    pub(crate) fn time(self, column: &str) -> Result<Timestamp, Trouble> {
        Ok(self.get::<Time>(column)?.0)
    }

    pub(crate) fn stream_id(self, column: &str) -> Result<StreamId, Trouble> {
        StreamId::new(self.get(column)?).map_err(garbled)
    }

    pub(crate) fn request_id(self, column: &str) -> Result<RequestId, Trouble> {
        Ok(self.get::<Uuid>(column)?.0)
    }

    pub(crate) fn fingerprint(self, column: &str) -> Result<Fingerprint, Trouble> {
        let bytes: &[u8] = self.get(column)?;
        let bytes = bytes.try_into().map_err(|_| garbled("a fingerprint that has not 32 bytes"))?;
        Ok(Fingerprint::from_bytes(bytes))
    }

    pub(crate) fn bytes(self, column: &str) -> Result<Bytes, Trouble> {
        Ok(Bytes::copy_from_slice(self.get(column)?))
    }

    /// An event from the columns that all reading statements give the same names.
    pub(crate) fn event(self, types: &mut EventTypeInterner) -> Result<RecordedEvent, Trouble> {
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
