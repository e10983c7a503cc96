//! Events before and after they are stored.

use std::sync::Arc;

use bytes::Bytes;

use super::{Partition, Position, RequestId, StreamId, Timestamp, Version};

/// What travels with an event and is not part of the fact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventMetadata {
    /// The W3C trace context of the command (`traceparent`), so that one command is one trace.
    pub traceparent: Option<Arc<str>>,
}

/// An event that was decided and is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The stream it belongs to.
    pub stream_id: StreamId,
    /// Its place in the stream: one more than the version that the decision was made on, and dense from there.
    pub version: Version,
    /// The full name of its message, such as `theatre.event.v1.SeatReserved`.
    pub event_type: Arc<str>,
    /// The encoded message.
    pub payload: Bytes,
}

/// An event as it is stored and as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its place in the order of all events.
    pub position: Position,
    /// The partition of its stream.
    pub partition: Partition,
    /// The stream it belongs to.
    pub stream_id: StreamId,
    /// Its place in the stream, from 1.
    pub version: Version,
    /// The full name of its message.
    pub event_type: Arc<str>,
    /// The encoded message.
    pub payload: Bytes,
    /// What travels with it.
    pub metadata: EventMetadata,
    /// The command that caused it.
    pub request_id: RequestId,
    /// When the write database recorded it, by that database's clock.
    pub recorded_at: Timestamp,
}
