//! Events, before and after they are stored.

use std::sync::Arc;

use bytes::Bytes;

use super::{Partition, Position, RequestId, StreamId, Timestamp, Version};

/// Metadata of an event: data that travels with it and is not part of the domain fact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventMetadata {
    /// The command's W3C trace context (`traceparent`), so that a command and its effects form one trace.
    pub traceparent: Option<Arc<str>>,
}

/// Event that is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The event's stream.
    pub stream_id: StreamId,
    /// The event's version in its stream. The first event of a decision has the version after the one that the decision
    /// was made on; the next ones follow without gaps.
    pub version: Version,
    /// The full name of the event's message, such as `theatre.event.v1.SeatReserved`.
    pub event_type: Arc<str>,
    /// The encoded message.
    pub payload: Bytes,
}

impl NewEvent {
    /// Returns the size of type and payload, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.event_type.len() + self.payload.len()
    }
}

/// Event as it is stored and published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// The event's position in the order of all events.
    pub position: Position,
    /// The partition of the event's stream.
    pub partition: Partition,
    /// The event's stream.
    pub stream_id: StreamId,
    /// The event's version in its stream, from 1.
    pub version: Version,
    /// The full name of the event's message.
    pub event_type: Arc<str>,
    /// The encoded message.
    pub payload: Bytes,
    /// The event's metadata.
    pub metadata: EventMetadata,
    /// The request id of the command that caused the event.
    pub request_id: RequestId,
    /// Time at which the write database recorded the event, by that database's clock.
    pub recorded_at: Timestamp,
}

impl RecordedEvent {
    /// Returns what identifies the event.
    #[must_use]
    pub fn identity(&self) -> EventIdentity {
        EventIdentity { position: self.position, request_id: self.request_id }
    }
}

/// What identifies an event also after a restore, when another event can get its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventIdentity {
    /// The event's position.
    pub position: Position,
    /// The request id of the command that caused the event.
    pub request_id: RequestId,
}

/// Interns event types: equal type names share one allocation, because there are few types and many events.
///
/// An interner serves one reader, such as the rows of one query or the records of one consumer.
#[derive(Debug, Default)]
pub struct EventTypeInterner(Vec<Arc<str>>);

impl EventTypeInterner {
    /// Number of distinct types that are kept. Any further type is allocated anew each time it is seen.
    pub const TYPES_MAX: usize = 64;

    /// Returns the shared copy of `event_type`.
    #[must_use]
    pub fn intern(&mut self, event_type: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == event_type) {
            return Arc::clone(known);
        }
        let event_type: Arc<str> = event_type.into();
        if self.0.len() < Self::TYPES_MAX {
            self.0.push(Arc::clone(&event_type));
        }
        event_type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_event_types_share_one_allocation() {
        let mut types = EventTypeInterner::default();
        assert!(Arc::ptr_eq(&types.intern("a"), &types.intern("a")));
        for number in 0..100 {
            assert_eq!(&*types.intern(&number.to_string()), number.to_string());
        }
        assert!(types.0.len() <= EventTypeInterner::TYPES_MAX);
    }
}
