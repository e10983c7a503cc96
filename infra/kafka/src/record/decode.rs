//! Records as entries.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use diptych_kernel::{
    EventMetadata, EventTypeInterner, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{LogEntry, Watermark},
};
use rdkafka::message::{Headers, Message};
use uuid::Uuid;

use super::{Tail, WATERMARK_TYPE, name, time};

/// What a record turned out to be.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// One of ours.
    Entry(LogEntry),
    /// A stranger's: it has no position.
    Foreign,
    /// One of ours that cannot be read, and why.
    Garbled(String),
}

/// What can be seen of a record without reading it whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Glimpse {
    Event(Position),
    Watermark(Option<Tail>),
    Foreign,
    Garbled(String),
}

/// Reads a record.
pub(crate) fn decode(record: &impl Message, partition: Partition, types: &mut EventTypeInterner) -> Decoded {
    let Some(fields) = record.headers().and_then(Fields::of) else { return Decoded::Foreign };
    let Some(position) = fields.position else { return Decoded::Foreign };
    let mut read = || -> Result<LogEntry, String> {
        let position = position_of(name::POSITION, position)?;
        let (event_type, at) = (text(name::TYPE, fields.event_type)?, time_of(fields.time)?);
        if event_type == WATERMARK_TYPE {
            let last_event = position_of(name::LAST_EVENT, required(name::LAST_EVENT, fields.last_event)?)?;
            return Ok(LogEntry::Watermark(partition, Watermark { position, as_of: at, last_event }));
        }
        let subject = text(name::SUBJECT, fields.subject)?;
        let stream_id = StreamId::new(subject).map_err(|error| garbled(name::SUBJECT, subject, error))?;
        let version = text(name::VERSION, fields.version)?;
        let version = version.parse().map_err(|error| garbled(name::VERSION, version, error))?;
        let request_id = text(name::REQUEST_ID, fields.request_id)?;
        let request_id = Uuid::try_parse(request_id).map_err(|error| garbled(name::REQUEST_ID, request_id, error))?;
        let traceparent = fields.traceparent.map(|value| text(name::TRACEPARENT, Some(value))).transpose()?;
        Ok(LogEntry::Event(RecordedEvent {
            position,
            partition,
            stream_id,
            version: Version::new(version),
            event_type: types.intern(event_type),
            payload: Bytes::copy_from_slice(record.payload().unwrap_or_default()),
            metadata: EventMetadata { traceparent: traceparent.map(Arc::from) },
            request_id: RequestId::from_uuid(request_id),
            recorded_at: at,
        }))
    };
    match read() {
        Ok(entry) => Decoded::Entry(entry),
        Err(why) => Decoded::Garbled(why),
    }
}

/// Looks at what the search for the last event needs.
pub(crate) fn glimpse(record: &impl Message) -> Glimpse {
    let Some(fields) = record.headers().and_then(Fields::of) else { return Glimpse::Foreign };
    let Some(position) = fields.position else { return Glimpse::Foreign };
    if fields.event_type == Some(WATERMARK_TYPE.as_bytes()) {
        let tail = fields.tail.and_then(|tail| std::str::from_utf8(tail).ok()).and_then(Tail::parse);
        return Glimpse::Watermark(tail);
    }
    match position_of(name::POSITION, position) {
        Ok(position) => Glimpse::Event(position),
        Err(why) => Glimpse::Garbled(why),
    }
}

/// The headers that mean something here, as they are. Where one is there twice, the last counts.
#[derive(Default)]
struct Fields<'a> {
    event_type: Option<&'a [u8]>,
    time: Option<&'a [u8]>,
    subject: Option<&'a [u8]>,
    position: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
    last_event: Option<&'a [u8]>,
    tail: Option<&'a [u8]>,
    traceparent: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// None where the headers cannot even be listed: rdkafka panics over a name that is not UTF-8, and only a stranger writes such a name.
    fn of(headers: &'a impl Headers) -> Option<Self> {
        catch_unwind(AssertUnwindSafe(|| Self::collect(headers))).ok()
    }

    fn collect(headers: &'a impl Headers) -> Self {
        let mut fields = Self::default();
        for header in headers.iter() {
            let field = match header.key {
                name::TYPE => &mut fields.event_type,
                name::TIME => &mut fields.time,
                name::SUBJECT => &mut fields.subject,
                name::POSITION => &mut fields.position,
                name::VERSION => &mut fields.version,
                name::REQUEST_ID => &mut fields.request_id,
                name::LAST_EVENT => &mut fields.last_event,
                name::TAIL => &mut fields.tail,
                name::TRACEPARENT => &mut fields.traceparent,
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
    std::str::from_utf8(required(name, value)?).map_err(|error| format!("its header {name} is no text: {error}"))
}

fn position_of(name: &str, value: &[u8]) -> Result<Position, String> {
    let text = text(name, Some(value))?;
    let number: i64 = text.parse().map_err(|error| garbled(name, text, error))?;
    Position::from_i64(number).map_err(|error| garbled(name, text, error))
}

fn time_of(value: Option<&[u8]>) -> Result<Timestamp, String> {
    let text = text(name::TIME, value)?;
    time::parse(text).ok_or_else(|| garbled(name::TIME, text, "is no time such as 2025-11-26T10:04:05.000000Z"))
}

fn garbled(name: &str, value: &str, why: impl std::fmt::Display) -> String {
    format!("its header {name} is {value:?}: {why}")
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp as KafkaTimestamp};

    use super::*;
    use crate::record::draft;

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

    fn record(entry: &LogEntry, tail: Option<Tail>) -> OwnedMessage {
        let draft = draft(entry, "/test", tail).unwrap();
        message(draft.key, draft.payload, Some(draft.headers))
    }

    #[test]
    fn an_entry_survives_its_record() {
        for entry in [event(), watermark()] {
            let decoded = decode(&record(&entry, None), partition(), &mut EventTypeInterner::default());
            assert!(matches!(&decoded, Decoded::Entry(read) if *read == entry), "{decoded:?}");
        }
    }

    #[test]
    fn a_glimpse_tells_events_from_watermarks() {
        let tail = Tail { below: 9, last_event: None };
        assert_eq!(glimpse(&record(&event(), None)), Glimpse::Event(Position::from_i64(77).unwrap()));
        assert_eq!(glimpse(&record(&watermark(), Some(tail))), Glimpse::Watermark(Some(tail)));
        assert_eq!(glimpse(&record(&watermark(), None)), Glimpse::Watermark(None));
        assert_eq!(glimpse(&message(None, Some(b"x"), None)), Glimpse::Foreign);
    }

    /// Leaves a header out, or gives it another value.
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
    fn what_is_missing_or_wrong_is_named() {
        let all = [name::TYPE, name::TIME, name::SUBJECT, name::VERSION, name::REQUEST_ID];
        let values: [Option<&[u8]>; 4] = [None, Some(b""), Some(b"\xff"), Some(b"no such value")];
        for name in all {
            for value in values {
                let is_any_text_right = name == name::TYPE && value.is_some_and(|value| value.is_ascii());
                let decoded = decode(&changed(&event(), name, value), partition(), &mut EventTypeInterner::default());
                match decoded {
                    Decoded::Garbled(why) => assert!(why.contains(name), "{why}"),
                    other => assert!(is_any_text_right, "{name} as {value:?}: {other:?}"),
                }
            }
        }
        let decoded =
            decode(&changed(&event(), name::POSITION, Some(b"7x")), partition(), &mut EventTypeInterner::default());
        assert!(matches!(&decoded, Decoded::Garbled(why) if why.contains("ce_position is \"7x\"")), "{decoded:?}");
        let decoded =
            decode(&changed(&watermark(), name::LAST_EVENT, None), partition(), &mut EventTypeInterner::default());
        assert!(matches!(decoded, Decoded::Garbled(_)), "{decoded:?}");
    }

    #[test]
    fn a_record_without_a_position_is_a_strangers() {
        for record in [
            message(None, None, None),
            message(Some("key"), Some(b"payload"), Some(OwnedHeaders::new())),
            changed(&event(), name::POSITION, None),
        ] {
            let decoded = decode(&record, partition(), &mut EventTypeInterner::default());
            assert!(matches!(decoded, Decoded::Foreign), "{decoded:?}");
        }
    }

    /// Headers as rdkafka gives them where a name is not UTF-8.
    struct Unlistable;

    impl Headers for Unlistable {
        fn count(&self) -> usize {
            1
        }

        fn try_get(&self, _: usize) -> Option<Header<'_, &[u8]>> {
            panic!("a header name is not UTF-8")
        }
    }

    #[test]
    fn headers_that_cannot_be_listed_are_a_strangers() {
        assert!(Fields::of(&Unlistable).is_none());
    }
}
