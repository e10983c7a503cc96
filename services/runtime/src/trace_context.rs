//! The W3C trace context that a call brings along.

use diptych_kernel::EventMetadata;
use tonic::metadata::MetadataMap;

/// How long the only version of `traceparent` that exists is: `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH_BYTES: usize = 55;

/// What a call's metadata says about its trace, for the events that it causes. A `traceparent` that is not valid (W3C Trace
/// Context, level 1) is ignored, as the standard asks.
#[must_use]
pub fn traceparent(metadata: &MetadataMap) -> EventMetadata {
    let value = metadata.get("traceparent").and_then(|value| value.to_str().ok());
    EventMetadata { traceparent: value.filter(|value| is_valid(value)).map(Into::into) }
}

fn is_valid(value: &str) -> bool {
    // A later version may add fields at its end. Until there is one, a longer value is a mistake, and is not stored for ever.
    if value.len() != LENGTH_BYTES {
        return false;
    }
    let mut fields = value.split('-');
    let (Some(version), Some(trace_id), Some(parent_id), Some(flags), None) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    is_hex(version, 2)
        && version != "ff"
        && is_hex(trace_id, 32)
        && !is_zero(trace_id)
        && is_hex(parent_id, 16)
        && !is_zero(parent_id)
        && is_hex(flags, 2)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn taken(value: &str) -> Option<String> {
        let mut metadata = MetadataMap::new();
        metadata.insert("traceparent", value.parse().unwrap());
        traceparent(&metadata).traceparent.map(|value| value.to_string())
    }

    #[test]
    fn a_valid_one_is_taken() {
        assert_eq!(taken(VALID).as_deref(), Some(VALID));
        assert_eq!(traceparent(&MetadataMap::new()), EventMetadata::default());
    }

    #[test]
    fn any_other_is_ignored() {
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
