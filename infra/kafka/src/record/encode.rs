//! Entries as records.

use diptych_kernel::{
    RecordedEvent, Timestamp,
    ports::{LogEntry, PortError, PortResult},
};
use rdkafka::message::{Header, OwnedHeaders};

use super::{Tail, WATERMARK_TYPE, name, time};

/// What a record has beside key, payload, type, source and trace context, at most: the other headers, all lengths.
const OTHER_BYTES_MAX: usize = 600;

/// An entry, ready to be sent.
pub(crate) struct Draft<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
}

/// How large the record of an entry can be.
pub(crate) fn bytes_max(entry: &LogEntry, source: &str) -> usize {
    let variable = match entry {
        // The name of the stream is there twice: as the key and as the subject.
        LogEntry::Event(event) => {
            let traceparent = event.metadata.traceparent.as_deref().unwrap_or_default();
            2 * event.stream_id.as_str().len() + event.event_type.len() + event.payload.len() + traceparent.len()
        }
        LogEntry::Watermark(..) => WATERMARK_TYPE.len(),
    };
    source.len() + variable + OTHER_BYTES_MAX
}

/// Whether the time of an entry can be written.
pub(crate) fn check_time(entry: &LogEntry) -> PortResult<()> {
    let at = match entry {
        LogEntry::Event(event) => event.recorded_at,
        LogEntry::Watermark(_, watermark) => watermark.as_of,
    };
    time::is_in_range(at).then_some(()).ok_or_else(|| out_of_range(at))
}

/// Makes a record of an entry. `tail` goes into watermarks.
pub(crate) fn draft<'a>(entry: &'a LogEntry, source: &str, tail: Option<Tail>) -> PortResult<Draft<'a>> {
    match entry {
        LogEntry::Event(event) => draft_event(event, source),
        LogEntry::Watermark(partition, watermark) => {
            let position = watermark.position.to_string();
            let as_of = time::format(watermark.as_of).ok_or_else(|| out_of_range(watermark.as_of))?;
            // CloudEvents wants the id to be unique within its source, also from those of events.
            let id = format!("watermark-{partition}-{position}-{}", watermark.as_of.as_micros());
            let mut headers = common(source, WATERMARK_TYPE, &id, &as_of, &position);
            headers = with(headers, name::LAST_EVENT, &watermark.last_event.to_string());
            if let Some(tail) = tail {
                headers = with(headers, name::TAIL, &tail.to_string());
            }
            Ok(Draft { key: None, payload: None, headers })
        }
    }
}

fn draft_event<'a>(event: &'a RecordedEvent, source: &str) -> PortResult<Draft<'a>> {
    let position = event.position.to_string();
    let at = time::format(event.recorded_at).ok_or_else(|| out_of_range(event.recorded_at))?;
    let stream_id = event.stream_id.as_str();
    let mut headers = common(source, &event.event_type, &position, &at, &position);
    headers = with(headers, name::SUBJECT, stream_id);
    headers = with(headers, name::VERSION, &event.version.to_string());
    headers = with(headers, name::REQUEST_ID, &event.request_id.to_string());
    headers = with(headers, name::CONTENT_TYPE, "application/protobuf");
    if let Some(traceparent) = &event.metadata.traceparent {
        headers = with(headers, name::TRACEPARENT, traceparent);
    }
    Ok(Draft { key: Some(stream_id), payload: Some(&event.payload), headers })
}

fn out_of_range(time: Timestamp) -> PortError {
    let micros = time.as_micros();
    PortError::operator(format!("{micros} microseconds since 1970 is a time outside the years -9999 to 9999"))
}

/// The headers that every record has.
fn common(source: &str, event_type: &str, id: &str, at: &str, position: &str) -> OwnedHeaders {
    let all = [
        (name::SPEC_VERSION, "1.0"),
        (name::ID, id),
        (name::SOURCE, source),
        (name::TYPE, event_type),
        (name::TIME, at),
        (name::POSITION, position),
    ];
    all.into_iter().fold(OwnedHeaders::new_with_capacity(11), |headers, (key, value)| with(headers, key, value))
}

fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}
