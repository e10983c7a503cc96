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

/// Interns event types: equal type names share one allocation, because there are few types and many events.
///
/// One value serves one reader, such as the rows of one query or the records of one consumer.
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
