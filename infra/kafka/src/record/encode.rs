//! Encoding of log entries as records.

use diptych_kernel::{
    RecordedEvent, Timestamp,
    ports::{LogEntry, PortError, PortResult},
    vocabulary::HistoryId,
};
use rdkafka::message::{Header, OwnedHeaders};

use super::{
    header::{self, WATERMARK_TYPE},
    tail_summary::TailSummary,
    time,
};

/// Maximum size of a record without key, payload, type, source and trace context: the other headers and all lengths.
const OTHER_BYTES_MAX: usize = 600;

/// Key, payload and headers of a record.
pub(crate) struct EncodedRecord<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
}

/// Upper bound of the size of the record of an entry.
pub(crate) fn encoded_bytes_max(entry: &LogEntry, source: &str) -> usize {
    let variable = match entry {
        // The stream id is there twice: as the key and as the subject.
        LogEntry::Event(event) => {
            let traceparent = event.metadata.traceparent.as_deref().unwrap_or_default();
            2 * event.stream_id.as_str().len() + event.event_type.len() + event.payload.len() + traceparent.len()
        }
        LogEntry::Watermark(..) => WATERMARK_TYPE.len(),
    };
    source.len() + variable + OTHER_BYTES_MAX
}

/// Checks that the time of an entry can be encoded.
pub(crate) fn check_time(entry: &LogEntry) -> PortResult<()> {
    let at = match entry {
        LogEntry::Event(event) => event.recorded_at,
        LogEntry::Watermark(_, watermark) => watermark.as_of,
    };
    time::is_in_range(at).then_some(()).ok_or_else(|| out_of_range(at))
}

/// Encodes an entry of a history. `tail` is written into watermarks.
pub(crate) fn encode<'a>(
    entry: &'a LogEntry,
    source: &str,
    history: Option<HistoryId>,
    tail: Option<TailSummary>,
) -> PortResult<EncodedRecord<'a>> {
    let mut encoded = encode_entry(entry, source, tail)?;
    if let Some(history) = history {
        encoded.headers = with(encoded.headers, header::HISTORY, &history.to_string());
    }
    Ok(encoded)
}

fn encode_entry<'a>(entry: &'a LogEntry, source: &str, tail: Option<TailSummary>) -> PortResult<EncodedRecord<'a>> {
    match entry {
        LogEntry::Event(event) => encode_event(event, source),
        LogEntry::Watermark(partition, watermark) => {
            let position = watermark.position.to_string();
            let as_of = time::format(watermark.as_of).ok_or_else(|| out_of_range(watermark.as_of))?;
            // CloudEvents requires ids that are unique within the source, so also different from those of events.
            let id = format!("watermark-{partition}-{position}-{}", watermark.as_of.as_micros());
            let mut headers = common(source, WATERMARK_TYPE, &id, &as_of, &position);
            headers = with(headers, header::LAST_EVENT, &watermark.last_event.to_string());
            if let Some(tail) = tail {
                headers = with(headers, header::TAIL, &tail.to_string());
            }
            Ok(EncodedRecord { key: None, payload: None, headers })
        }
    }
}

fn encode_event<'a>(event: &'a RecordedEvent, source: &str) -> PortResult<EncodedRecord<'a>> {
    let position = event.position.to_string();
    let at = time::format(event.recorded_at).ok_or_else(|| out_of_range(event.recorded_at))?;
    let stream_id = event.stream_id.as_str();
    let mut headers = common(source, &event.event_type, &position, &at, &position);
    headers = with(headers, header::SUBJECT, stream_id);
    headers = with(headers, header::VERSION, &event.version.to_string());
    headers = with(headers, header::REQUEST_ID, &event.request_id.to_string());
    headers = with(headers, header::CONTENT_TYPE, "application/protobuf");
    if let Some(traceparent) = &event.metadata.traceparent {
        headers = with(headers, header::TRACEPARENT, traceparent);
    }
    Ok(EncodedRecord { key: Some(stream_id), payload: Some(&event.payload), headers })
}

fn out_of_range(time: Timestamp) -> PortError {
    let micros = time.as_micros();
    PortError::operator(format!(
        "time out of range: {micros} microseconds since 1970 is not in the years -9999 to 9999"
    ))
}

/// Headers of every record.
fn common(source: &str, event_type: &str, id: &str, at: &str, position: &str) -> OwnedHeaders {
    let all = [
        (header::SPEC_VERSION, "1.0"),
        (header::ID, id),
        (header::SOURCE, source),
        (header::TYPE, event_type),
        (header::TIME, at),
        (header::POSITION, position),
    ];
    all.into_iter().fold(OwnedHeaders::new_with_capacity(12), |headers, (key, value)| with(headers, key, value))
}

fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{
        EventMetadata, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
        ports::EVENT_BYTES_MAX,
    };

    use super::*;
    use crate::KafkaConfig;

    #[test]
    fn the_largest_event_that_is_committed_fits_into_a_record() {
        let config = KafkaConfig::new("127.0.0.1:1", "events");
        let event = RecordedEvent {
            position: Position::START,
            partition: Partition::new(0),
            stream_id: StreamId::new(&"s".repeat(StreamId::BYTES_MAX)).unwrap(),
            version: Version::new(1),
            event_type: "t".into(),
            payload: vec![0; EVENT_BYTES_MAX - 1].into(),
            metadata: EventMetadata { traceparent: Some("0".repeat(55).into()) },
            request_id: RequestId::from_bytes([7; 16]),
            recorded_at: Timestamp::from_micros(0),
        };
        let bytes = encoded_bytes_max(&LogEntry::Event(event), &config.ce_source);
        assert!(bytes <= usize::try_from(config.record_bytes_max).unwrap(), "{bytes}");
    }
}
