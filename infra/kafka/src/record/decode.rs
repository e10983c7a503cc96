//! Decoding of records.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use diptych_kernel::{
    EventIdentity, EventMetadata, EventTypeInterner, Partition, Position, RecordedEvent, RequestId, StreamId,
    Timestamp, Version,
    ports::{LogEntry, Watermark},
    vocabulary::History,
};
use rdkafka::message::{Headers, Message};
use uuid::Uuid;

use super::{
    header::{self, WATERMARK_TYPE},
    record_history::{self, RecordHistory},
    tail_summary::TailSummary,
    time,
};

/// Result of decoding a record.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// An entry of the log.
    Entry(LogEntry),
    /// A record of another program: it has no position.
    Foreign,
    /// A record whose position a restore of the write database has lost.
    Lost,
    /// A record of Diptych that cannot be decoded, with the reason.
    Unreadable(String),
}

/// The part of a record that the search for the last event needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordSummary {
    Event(EventIdentity),
    Watermark(Option<TailSummary>),
    Foreign,
    Unreadable(String),
}

/// Decodes a record of an installation with this history.
pub(crate) fn decode(
    record: &impl Message,
    partition: Partition,
    types: &mut EventTypeInterner,
    history: Option<&History>,
) -> Decoded {
    let Some(fields) = record.headers().and_then(Fields::of) else { return Decoded::Foreign };
    let Some(position) = fields.position else { return Decoded::Foreign };
    match position_of(header::POSITION, position).map(|at| record_history::compare(fields.history, at, history)) {
        Ok(RecordHistory::Shared) | Err(_) => {}
        Ok(RecordHistory::Lost) => return Decoded::Lost,
        Ok(RecordHistory::Unknown(reason)) => return Decoded::Unreadable(reason),
    }
    let mut read = || -> Result<LogEntry, String> {
        let position = position_of(header::POSITION, position)?;
        let (event_type, at) = (text(header::TYPE, fields.event_type)?, time_of(fields.time)?);
        if event_type == WATERMARK_TYPE {
            let last_event = position_of(header::LAST_EVENT, required(header::LAST_EVENT, fields.last_event)?)?;
            return Ok(LogEntry::Watermark(partition, Watermark { position, as_of: at, last_event }));
        }
        let subject = text(header::SUBJECT, fields.subject)?;
        let stream_id = StreamId::new(subject).map_err(|error| invalid(header::SUBJECT, subject, error))?;
        let version = text(header::VERSION, fields.version)?;
        let version = version.parse().map_err(|error| invalid(header::VERSION, version, error))?;
        let traceparent = fields.traceparent.map(|value| text(header::TRACEPARENT, Some(value))).transpose()?;
        Ok(LogEntry::Event(RecordedEvent {
            position,
            partition,
            stream_id,
            version: Version::new(version),
            event_type: types.intern(event_type),
            payload: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
            metadata: EventMetadata { traceparent: traceparent.map(Arc::from) },
            request_id: request_id_of(fields.request_id)?,
            recorded_at: at,
        }))
    };
    match read() {
        Ok(entry) => Decoded::Entry(entry),
        Err(reason) => Decoded::Unreadable(damaged(&reason)),
    }
}

/// Decodes only what the search for the last event needs. A lost record counts as one of another program.
pub(crate) fn summarize(record: &impl Message, history: Option<&History>) -> RecordSummary {
    let Some(fields) = record.headers().and_then(Fields::of) else { return RecordSummary::Foreign };
    let Some(position) = fields.position else { return RecordSummary::Foreign };
    match position_of(header::POSITION, position).map(|at| record_history::compare(fields.history, at, history)) {
        Ok(RecordHistory::Shared) => {}
        Ok(RecordHistory::Lost) => return RecordSummary::Foreign,
        Ok(RecordHistory::Unknown(reason)) => return RecordSummary::Unreadable(reason),
        Err(reason) => return RecordSummary::Unreadable(damaged(&reason)),
    }
    if fields.event_type == Some(WATERMARK_TYPE.as_bytes()) {
        let tail = fields.tail.and_then(|tail| std::str::from_utf8(tail).ok()).and_then(TailSummary::parse);
        return RecordSummary::Watermark(tail);
    }
    let identity = || -> Result<EventIdentity, String> {
        let position = position_of(header::POSITION, position)?;
        Ok(EventIdentity { position, request_id: request_id_of(fields.request_id)? })
    };
    match identity() {
        Ok(event) => RecordSummary::Event(event),
        Err(reason) => RecordSummary::Unreadable(damaged(&reason)),
    }
}

/// Adds the causes of a record that cannot be decoded.
fn damaged(reason: &str) -> String {
    format!("it cannot be decoded, as {reason}; another program writes to the topic, or the record is damaged")
}

/// Partition and offset of a record; `None` if they are out of range.
pub(crate) fn partition_and_offset(record: &impl Message) -> Option<(Partition, u64)> {
    let partition = Partition::new(u16::try_from(record.partition()).ok()?);
    Some((partition, u64::try_from(record.offset()).ok()?))
}

/// The known headers, undecoded. If a header is repeated, the last one counts.
#[derive(Default)]
struct Fields<'a> {
    event_type: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    position: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
    history: Option<&'a [u8]>,
    last_event: Option<&'a [u8]>,
    tail: Option<&'a [u8]>,
    traceparent: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// `None` if the headers cannot be iterated: rdkafka panics on a name that is not UTF-8, and only another program
    /// writes such a name.
    fn of(headers: &'a impl Headers) -> Option<Self> {
        catch_unwind(AssertUnwindSafe(|| Self::collect(headers))).ok()
    }

    fn collect(headers: &'a impl Headers) -> Self {
        let mut fields = Self::default();
        for header in headers.iter() {
            let field = match header.key {
                header::TYPE => &mut fields.event_type,
                header::TIME => &mut fields.time,
                header::SUBJECT => &mut fields.subject,
                header::POSITION => &mut fields.position,
                header::VERSION => &mut fields.version,
                header::REQUEST_ID => &mut fields.request_id,
                header::HISTORY => &mut fields.history,
                header::LAST_EVENT => &mut fields.last_event,
                header::TAIL => &mut fields.tail,
                header::TRACEPARENT => &mut fields.traceparent,
                _ => continue,
            };
            *field = header.value;
        }
        fields
    }
}

fn required<'a>(name: &str, value: Option<&'a [u8]>) -> Result<&'a [u8], String> {
    value.ok_or_else(|| format!("it has no header {name}"))
}

fn text<'a>(name: &str, value: Option<&'a [u8]>) -> Result<&'a str, String> {
    std::str::from_utf8(required(name, value)?).map_err(|error| format!("its header {name} is not UTF-8: {error}"))
}

fn position_of(name: &str, value: &[u8]) -> Result<Position, String> {
    let text = text(name, Some(value))?;
    let number: i64 = text.parse().map_err(|error| invalid(name, text, error))?;
    Position::from_i64(number).map_err(|error| invalid(name, text, error))
}

fn request_id_of(value: Option<&[u8]>) -> Result<RequestId, String> {
    let text = text(header::REQUEST_ID, value)?;
    let uuid = Uuid::try_parse(text).map_err(|error| invalid(header::REQUEST_ID, text, error))?;
    Ok(RequestId::from_uuid(uuid))
}

fn time_of(value: Option<&[u8]>) -> Result<Timestamp, String> {
    let text = text(header::TIME, value)?;
    time::parse(text).ok_or_else(|| invalid(header::TIME, text, "expected a time such as 2025-11-26T10:04:05.000000Z"))
}

fn invalid(name: &str, value: &str, reason: impl std::fmt::Display) -> String {
    format!("its header {name} is {value:?}: {reason}")
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp as KafkaTimestamp};

    use super::*;
    use crate::record::encode::encode;

    fn partition() -> Partition {
        Partition::new(3)
    }

    fn event() -> LogEntry {
        LogEntry::Event(RecordedEvent {
            position: Position::from_i64(77).unwrap(),
            partition: partition(),
            stream_id: StreamId::new("seat-1").unwrap(),
            version: Version::new(4),
            event_type: "theatre.event.v1.SeatReserved".into(),
            payload: Bytes::from_static(b"payload"),
            metadata: EventMetadata { traceparent: Some("00-1-2-01".into()) },
            request_id: RequestId::from_bytes([0; 16]),
            recorded_at: Timestamp::from_micros(1_764_151_445_123_456),
        })
    }

    fn watermark() -> LogEntry {
        let [position, last_event] = [80, 77].map(|number| Position::from_i64(number).unwrap());
        LogEntry::Watermark(partition(), Watermark { position, as_of: Timestamp::from_micros(5), last_event })
    }

    fn message(key: Option<&str>, payload: Option<&[u8]>, headers: Option<OwnedHeaders>) -> OwnedMessage {
        let (payload, key) = (payload.map(Vec::from), key.map(|key| key.as_bytes().to_vec()));
        OwnedMessage::new(payload, key, "topic".into(), KafkaTimestamp::NotAvailable, 3, 0, headers)
    }

    fn record(entry: &LogEntry, tail: Option<TailSummary>) -> OwnedMessage {
        let encoded = encode(entry, "/test", None, tail).unwrap();
        message(encoded.key, encoded.payload, Some(encoded.headers))
    }

    #[test]
    fn decode_reverses_encode() {
        for entry in [event(), watermark()] {
            let decoded = decode(&record(&entry, None), partition(), &mut EventTypeInterner::default(), None);
            assert!(matches!(&decoded, Decoded::Entry(read) if *read == entry), "{decoded:?}");
        }
    }

    #[test]
    fn a_summary_distinguishes_events_from_watermarks() {
        let tail = TailSummary { end_exclusive: 9, last_event: None };
        let identity =
            EventIdentity { position: Position::from_i64(77).unwrap(), request_id: RequestId::from_bytes([0; 16]) };
        assert_eq!(summarize(&record(&event(), None), None), RecordSummary::Event(identity));
        assert_eq!(summarize(&record(&watermark(), Some(tail)), None), RecordSummary::Watermark(Some(tail)));
        assert_eq!(summarize(&record(&watermark(), None), None), RecordSummary::Watermark(None));
        assert_eq!(summarize(&message(None, Some(b"x"), None), None), RecordSummary::Foreign);
    }

    /// Removes a header, or replaces its value.
    fn changed(entry: &LogEntry, name: &str, value: Option<&[u8]>) -> OwnedMessage {
        let original = record(entry, None);
        let mut headers = OwnedHeaders::new();
        for header in original.headers().unwrap().iter() {
            let value = if header.key == name { value } else { header.value };
            if let Some(value) = value {
                headers = headers.insert(Header { key: header.key, value: Some(value) });
            }
        }
        message(Some("seat-1"), original.payload(), Some(headers))
    }

    #[test]
    fn a_missing_or_invalid_header_is_named() {
        let all = [header::TYPE, header::TIME, header::SUBJECT, header::VERSION, header::REQUEST_ID];
        let values: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"\xff"), Some(b"no such value")];
        for name in all {
            for value in values {
                let is_any_text_valid = name == header::TYPE && value.is_some_and(|value| value.is_ascii());
                let decoded =
                    decode(&changed(&event(), name, value), partition(), &mut EventTypeInterner::default(), None);
                match decoded {
                    Decoded::Unreadable(reason) => assert!(reason.contains(name), "{reason}"),
                    other => assert!(is_any_text_valid, "{name} as {value:?}: {other:?}"),
                }
            }
        }
        let decoded = decode(
            &changed(&event(), header::POSITION, Some(b"7x")),
            partition(),
            &mut EventTypeInterner::default(),
            None,
        );
        assert!(
            matches!(&decoded, Decoded::Unreadable(reason) if reason.contains("ce_position is \"7x\"")),
            "{decoded:?}"
        );
        let decoded = decode(
            &changed(&watermark(), header::LAST_EVENT, None),
            partition(),
            &mut EventTypeInterner::default(),
            None,
        );
        assert!(matches!(decoded, Decoded::Unreadable(_)), "{decoded:?}");
    }

    #[test]
    fn a_record_without_a_position_is_foreign() {
        for record in [
            message(None, None, None),
            message(Some("key"), Some(b"payload"), Some(OwnedHeaders::new())),
            changed(&event(), header::POSITION, None),
        ] {
            let decoded = decode(&record, partition(), &mut EventTypeInterner::default(), None);
            assert!(matches!(decoded, Decoded::Foreign), "{decoded:?}");
        }
    }

    /// Headers that panic like those of rdkafka with a name that is not UTF-8.
    struct PanickingHeaders;

    impl Headers for PanickingHeaders {
        fn count(&self) -> usize {
            1
        }

        fn try_get(&self, _: usize) -> Option<Header<'_, &[u8]>> {
            panic!("a header name is not UTF-8")
        }
    }

    #[test]
    fn headers_that_cannot_be_iterated_are_foreign() {
        assert!(Fields::of(&PanickingHeaders).is_none());
    }
}
