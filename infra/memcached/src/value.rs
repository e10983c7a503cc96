//! Encoding of cached rows.
//!
//! ```text
//! byte   0       format: 1
//!        1..9    position, big-endian
//!        9..17   current_up_to, big-endian
//!       17..25   as_of, microseconds since 1970-01-01 UTC, signed, big-endian
//!       25       1 for a row, 0 for a row known not to exist
//!       26..     the encoded message; empty for a row that does not exist
//! ```
//!
//! Another layout gets another format number, and a value with an unknown format counts as a miss. So two versions of
//! the program can share a cache, and each goes to the read database for rows cached by the other.

use bytes::{BufMut, Bytes};
use diptych_kernel::{Position, Timestamp, ports::CachedRow};

/// The format number written.
const FORMAT: u8 = 1;

/// The size of the header before the message.
pub(crate) const HEADER_BYTES: usize = 26;

/// Encodes a row.
pub(crate) fn encode(row: &CachedRow) -> Bytes {
    let body = row.body.as_ref();
    let mut value = Vec::with_capacity(HEADER_BYTES + body.map_or(0, Bytes::len));
    value.put_u8(FORMAT);
    value.put_i64(row.position.as_i64());
    value.put_i64(row.current_up_to.as_i64());
    value.put_i64(row.as_of.as_micros());
    value.put_u8(u8::from(body.is_some()));
    value.put_slice(body.map_or(&[], |body| body.as_ref()));
    value.into()
}

/// Decodes a row without copying; `None` where the bytes were not written by [`encode`].
pub(crate) fn decode(value: &Bytes) -> Option<CachedRow> {
    let (header, _) = value.split_first_chunk::<HEADER_BYTES>()?;
    let [format, numbers @ .., presence] = header;
    if *format != FORMAT {
        return None;
    }
    let mut numbers = numbers.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
    let position = Position::from_i64(numbers.next()?).ok()?;
    let current_up_to = Position::from_i64(numbers.next()?).ok()?;
    let as_of = Timestamp::from_micros(numbers.next()?);
    let body = value.slice(HEADER_BYTES..);
    let body = match (presence, body.is_empty()) {
        (1, _) => Some(body),
        (0, true) => None,
        _ => return None,
    };
    (current_up_to >= position).then_some(CachedRow { position, current_up_to, as_of, body })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn rows() -> impl Strategy<Value = CachedRow> {
        let position = prop_oneof![0..4_i64, 0..=i64::MAX];
        (position, 0..=i64::MAX, any::<i64>(), option::of(vec(any::<u8>(), 0..40))).prop_map(
            |(position, later, time, body)| CachedRow {
                position: Position::from_i64(position).unwrap(),
                current_up_to: Position::from_i64(position.saturating_add(later)).unwrap(),
                as_of: Timestamp::from_micros(time),
                body: body.map(Bytes::from),
            },
        )
    }

    proptest! {
        #[test]
        fn an_encoded_row_decodes_to_itself(row in rows()) {
            prop_assert_eq!(decode(&encode(&row)), Some(row));
        }

        #[test]
        fn garbage_that_decodes_encodes_to_itself(garbage in vec(any::<u8>(), 0..80)) {
            let garbage = Bytes::from(garbage);
            // Whatever decodes must be the exact encoding of the decoded row.
            if let Some(row) = decode(&garbage) {
                prop_assert_eq!(encode(&row), garbage);
            }
        }

        #[test]
        fn a_truncated_header_does_not_decode(row in rows(), cut in 0..HEADER_BYTES) {
            prop_assert_eq!(decode(&encode(&row).slice(..cut)), None);
        }

        #[test]
        fn only_the_known_format_decodes(row in rows(), format in any::<u8>()) {
            let mut value = encode(&row).to_vec();
            value[0] = format;
            prop_assert_eq!(decode(&value.into()).is_some(), format == FORMAT);
        }
    }

    #[test]
    fn the_layout_never_changes() {
        let row = CachedRow {
            position: Position::from_i64(0x0102).unwrap(),
            current_up_to: Position::from_i64(0x0103).unwrap(),
            as_of: Timestamp::from_micros(-2),
            body: Some(Bytes::from_static(b"row")),
        };
        let expected = [
            &[1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 3][..],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 1],
            b"row",
        ];
        assert_eq!(encode(&row), expected.concat());
        let absent = encode(&CachedRow { body: None, ..row });
        assert_eq!((absent.len(), absent.last()), (HEADER_BYTES, Some(&0)));
    }

    #[test]
    fn impossible_values_do_not_decode() {
        let row = CachedRow {
            position: Position::from_i64(5).unwrap(),
            current_up_to: Position::from_i64(5).unwrap(),
            as_of: Timestamp::default(),
            body: None,
        };
        let value = |change: fn(&mut Vec<u8>)| {
            let mut value = encode(&row).to_vec();
            change(&mut value);
            decode(&value.into())
        };
        assert_eq!(value(|_| {}), Some(row.clone()));
        assert_eq!(value(|value| value.push(1)), None, "a body of a row that does not exist");
        assert_eq!(value(|value| value[25] = 2), None, "an invalid presence byte");
        assert_eq!(value(|value| value[1] = 0xff), None, "a negative position");
        assert_eq!(value(|value| value[16] = 4), None, "current_up_to before its own position");
    }
}
