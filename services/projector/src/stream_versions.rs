//! The stored version of each stream.

use bytes::Bytes;
use diptych_kernel::{
    StreamId, Version,
    domain::{RowKey, ViewId},
    ports::Row,
};

/// The projector's own table: one row per stream with the version of its last projected event. An event's version is
/// compared with it to detect missing events. The progress of this view is that of the partition as a whole.
pub const STREAM_VERSIONS: ViewId = ViewId { name: "stream_versions", generation: 1 };

/// The key of a stream's row.
pub(crate) fn stream_key(stream_id: &StreamId) -> RowKey {
    RowKey::single(stream_id.as_str())
}

/// Encodes the body of a stream's row.
pub(crate) fn encode_version(version: Version) -> Bytes {
    Bytes::copy_from_slice(&version.number().to_be_bytes())
}

/// Decodes the version in a row. A row that cannot be decoded counts as absent: then the stream's next event looks like
/// a gap, and the whole stream is read from the write database.
pub(crate) fn decode_version(row: Option<&Row>) -> Version {
    let body = row.and_then(|row| row.body.as_deref());
    let number = body.and_then(|body| <[u8; 4]>::try_from(body).ok()).map(u32::from_be_bytes);
    number.map_or(Version::NONE, Version::new)
}

#[cfg(test)]
mod tests {
    use diptych_kernel::Position;

    use super::*;

    #[test]
    fn an_encoded_version_decodes_to_itself() {
        let row = Row { position: Position::START, body: Some(encode_version(Version::new(70_000))) };
        assert_eq!(decode_version(Some(&row)), Version::new(70_000));
    }

    #[test]
    fn an_invalid_row_decodes_to_no_version() {
        let row = Row { position: Position::START, body: Some(Bytes::from_static(b"?")) };
        assert_eq!(decode_version(Some(&row)), Version::NONE);
        assert_eq!(decode_version(None), Version::NONE);
    }
}
