//! The trace context of the events of a call.

use diptych_kernel::EventMetadata;
use tonic::metadata::MetadataMap;

use crate::trace::{self, TraceContext, is_valid};

/// The metadata for the events of a call, to be called within the call: the context of its own span if that is
/// exported, otherwise the one that the caller has sent (W3C Trace Context, level 1), so that later steps continue the
/// caller's trace. An invalid `traceparent` is ignored, as the standard requires.
#[must_use]
pub fn event_metadata(metadata: &MetadataMap) -> EventMetadata {
    if let Some(own) = trace::current().as_ref().and_then(TraceContext::of) {
        return own.to_metadata();
    }
    let value = metadata.get("traceparent").and_then(|value| value.to_str().ok());
    EventMetadata { traceparent: value.filter(|value| is_valid(value)).map(Into::into) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn taken(value: &str) -> Option<String> {
        let mut metadata = MetadataMap::new();
        metadata.insert("traceparent", value.parse().unwrap());
        event_metadata(&metadata).traceparent.map(|value| value.to_string())
    }

    #[test]
    fn a_valid_traceparent_is_used() {
        assert_eq!(taken(VALID).as_deref(), Some(VALID));
        assert_eq!(event_metadata(&MetadataMap::new()), EventMetadata::default());
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        let bad = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        ];
        for value in bad {
            assert_eq!(taken(value), None, "{value}");
        }
    }
}
