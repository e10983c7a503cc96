//! How far each stream has got.

use bytes::Bytes;
use diptych_kernel::{
    StreamId, Version,
    domain::{RowKey, ViewId},
    ports::Row,
};

/// The projector's own table: one row per stream with the version of the last event that was taken from the log. It is what an event's
/// version is compared with to see a gap. Its progress is that of the partition as a whole.
pub const STREAM_HEADS: ViewId = ViewId { name: "stream_heads", generation: 1 };

/// The key of a stream's row.
pub(crate) fn head_key(stream_id: &StreamId) -> RowKey {
    RowKey::single(stream_id.as_str())
}

/// The row's body.
pub(crate) fn encode_head(version: Version) -> Bytes {
    Bytes::copy_from_slice(&version.number().to_be_bytes())
}

/// The version in a row. A row that cannot be read counts as none: then the stream's next event looks like a gap, and all of the stream
/// is read from the write side.
pub(crate) fn head_version(row: Option<&Row>) -> Version {
    let body = row.and_then(|row| row.body.as_deref());
    let number = body.and_then(|body| <[u8; 4]>::try_from(body).ok()).map(u32::from_be_bytes);
    number.map_or(Version::NONE, Version::new)
}

#[cfg(test)]
mod tests {
    use diptych_kernel::Position;

    use super::*;

    #[test]
    fn a_version_comes_back() {
        let row = Row { position: Position::START, body: Some(encode_head(Version::new(70_000))) };
        assert_eq!(head_version(Some(&row)), Version::new(70_000));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_none() {
        let row = Row { position: Position::START, body: Some(Bytes::from_static(b"?")) };
        assert_eq!(head_version(Some(&row)), Version::NONE);
        assert_eq!(head_version(None), Version::NONE);
    }
}
