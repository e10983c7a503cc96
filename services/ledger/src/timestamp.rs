//! Conversion of times to proto messages.

use diptych_kernel::Timestamp;

/// Converts a time to its proto message.
pub(crate) fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = time.seconds_and_nanos();
    prost_types::Timestamp { seconds, nanos }
}
