//! Encoding of row keys as Memcached keys.
//!
//! Memcached keys have at most 250 bytes, without blanks or control characters; row keys have up to 542 arbitrary
//! bytes. A key that fits stays readable:
//!
//! ```text
//! prefix@history:view_g1:partition-key:sort-key   each part with %XX for every byte that is not visible ASCII, and for
//! % and : prefix@history:view_g1:#hash            if longer than 250 bytes; SHA-256 of all parts and their lengths,
//! base64url prefix@history:~                        the probe item, see `connection::socket`
//! ```
//!
//! Different row keys never share a key: `:` occurs only between the parts, so the number of parts tells the forms
//! apart, and each is a reversible encoding of the row key or a collision-resistant hash of it.

use std::{io::Write, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use diptych_kernel::{
    domain::{RowKey, ViewId},
    vocabulary::HistoryId,
};
use sha2::{Digest, Sha256};

/// The longest key that a server accepts, in bytes.
const KEY_BYTES_MAX: usize = 250;

/// The part of the view's name kept before a hash, in bytes. View names have at most 32 characters, so this is all of
/// it.
const HASHED_VIEW_BYTES_MAX: usize = 48;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A Memcached key.
pub(crate) type Key = Arc<[u8]>;

/// Encodes the keys of one installation.
#[derive(Debug)]
pub(crate) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    /// `prefix` must be valid as [`MemcachedConfig::key_prefix`](crate::MemcachedConfig::key_prefix).
    pub(crate) fn new(prefix: &str, history: Option<HistoryId>) -> Self {
        Self { prefix: history.map_or_else(|| prefix.into(), |id| format!("{prefix}@{}", tag(id)).into()) }
    }

    /// The keys of rows.
    pub(crate) fn of_rows<'a>(&self, view: ViewId, keys: impl IntoIterator<Item = &'a RowKey>) -> Vec<Key> {
        let mut text = Vec::with_capacity(KEY_BYTES_MAX);
        let keys = keys.into_iter().map(|key| {
            self.write(&mut text, view, key);
            Key::from(text.as_slice())
        });
        keys.collect()
    }

    /// The key of a row.
    pub(crate) fn of_row(&self, view: ViewId, key: &RowKey) -> Key {
        let mut text = Vec::with_capacity(KEY_BYTES_MAX);
        self.write(&mut text, view, key);
        text.into()
    }

    /// Writes the key of a row, replacing the content of `text`.
    fn write(&self, text: &mut Vec<u8>, view: ViewId, key: &RowKey) {
        text.clear();
        text.extend_from_slice(self.prefix.as_bytes());
        text.push(b':');
        escape(text, view.name.as_bytes());
        // Writing to a vector never fails.
        let _ = write!(text, "_g{}", view.generation);
        let view_ends_at = text.len().min(self.prefix.len() + 1 + HASHED_VIEW_BYTES_MAX);
        text.push(b':');
        escape(text, key.partition_key.as_bytes());
        text.push(b':');
        escape(text, &key.sort_key);
        if text.len() > KEY_BYTES_MAX {
            text.truncate(view_ends_at);
            text.extend_from_slice(b":#");
            text.extend_from_slice(hash(view, key).as_bytes());
        }
    }

    /// The key of the probe item, which a connection writes first.
    pub(crate) fn of_probe(&self) -> Key {
        format!("{}:~", self.prefix).into_bytes().into()
    }
}

/// The first eight hexadecimal digits of a history: enough to tell those of one server apart.
fn tag(history: HistoryId) -> String {
    history.tag().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escape(text: &mut Vec<u8>, part: &[u8]) {
    for byte in part {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b':') {
            text.push(*byte);
        } else {
            text.push(b'%');
            text.extend([byte >> 4, byte & 0xf].iter().filter_map(|digit| HEX.get(usize::from(*digit))));
        }
    }
}

fn hash(view: ViewId, key: &RowKey) -> String {
    let mut hasher = Sha256::new();
    for part in [view.name.as_bytes(), &view.generation.to_be_bytes(), key.partition_key.as_bytes(), &key.sort_key] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    URL_SAFE_NO_PAD.encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const NAMES: [&str; 5] = ["a", "a_g1", "accounts", "of:odd%name", "a_view_of_thirty_two_characters_"];

    fn text(key: &Key) -> &str {
        std::str::from_utf8(key).unwrap()
    }

    /// The decoded parts of a readable key; `None` for a hashed one.
    fn parts(key: &Key) -> Option<Vec<Vec<u8>>> {
        let parts: Vec<_> = text(key).split(':').collect();
        (parts.len() == 4).then(|| parts.into_iter().map(unescape).collect())
    }

    fn unescape(part: &str) -> Vec<u8> {
        let mut bytes = part.bytes();
        let mut plain = Vec::new();
        while let Some(byte) = bytes.next() {
            plain.push(if byte == b'%' {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            } else {
                byte
            });
        }
        plain
    }

    fn view() -> impl Strategy<Value = ViewId> {
        (prop::sample::select(NAMES.to_vec()), 0..3_u16).prop_map(|(name, generation)| ViewId { name, generation })
    }

    /// Few different bytes, including special ones, so that near misses come up.
    fn row_key(bytes_max: usize) -> impl Strategy<Value = RowKey> {
        let partition_key =
            vec(prop::sample::select(vec!['a', ':', '%', '#', ' ', '~', '\u{e4}', '\0']), 1..=bytes_max / 2);
        let sort_key = vec(prop::sample::select(vec![b'a', b':', b'%', b'#', b' ', 0, 0xff]), 0..=bytes_max);
        (partition_key, sort_key)
            .prop_map(|(partition_key, sort_key)| RowKey::new(&partition_key.iter().collect::<String>(), sort_key))
    }

    fn is_valid(key: &Key) -> bool {
        (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
    }

    proptest! {
        #[test]
        fn every_key_is_valid_for_a_server(prefix in "[a-z._-]{0,64}", view in view(), key in row_key(255)) {
            let encoded = Keys::new(&prefix, None).of_row(view, &key);
            prop_assert!(is_valid(&encoded), "{encoded:?}");
        }

        #[test]
        fn a_readable_key_decodes_to_its_parts(view in view(), key in row_key(20)) {
            let encoded = Keys::new("app", None).of_row(view, &key);
            let parts = parts(&encoded).unwrap();
            let [prefix, table, partition_key, sort_key] = parts.as_slice() else { panic!("{parts:?}") };
            prop_assert_eq!(prefix.as_slice(), b"app");
            let view = view.to_string();
            prop_assert_eq!(table.as_slice(), view.as_bytes());
            prop_assert_eq!(partition_key.as_slice(), key.partition_key.as_bytes());
            prop_assert_eq!(sort_key.as_slice(), key.sort_key.as_ref());
        }

        #[test]
        fn different_rows_have_different_keys(
            rows in vec(
                (prop::sample::select(vec!["", "a", "a.b"]), view(), prop_oneof![row_key(3), row_key(255)]),
                2..20,
            )
        ) {
            let encode = |(prefix, view, key): &(&str, ViewId, RowKey)| Keys::new(prefix, None).of_row(*view, key);
            for first in &rows {
                for second in &rows {
                    prop_assert_eq!(first == second, encode(first) == encode(second), "{:?} and {:?}", first, second);
                }
            }
        }
    }

    #[test]
    fn short_keys_are_readable() {
        let keys = Keys::new("diptych", None);
        let view = ViewId { name: "seats", generation: 2 };
        assert_eq!(text(&keys.of_row(view, &RowKey::single("hall-7"))), "diptych:seats_g2:hall-7:");
        let key = RowKey::new("hall 7", &[0, b':', b'x', 0xff][..]);
        assert_eq!(text(&keys.of_row(view, &key)), "diptych:seats_g2:hall%207:%00%3Ax%FF");
        assert_eq!(text(&keys.of_probe()), "diptych:~");
    }

    #[test]
    fn histories_have_different_keys() {
        let (view, key) = (ViewId { name: "seats", generation: 2 }, RowKey::single("hall-7"));
        let id = HistoryId::parse("0a1b2c3d-0000-4000-8000-000000000000").unwrap();
        assert_eq!(text(&Keys::new("diptych", Some(id)).of_row(view, &key)), "diptych@0a1b2c3d:seats_g2:hall-7:");
        assert_eq!(text(&Keys::new("diptych", Some(id)).of_probe()), "diptych@0a1b2c3d:~");
    }

    #[test]
    fn a_long_key_keeps_its_view_readable_and_never_changes() {
        let view = ViewId { name: "seats", generation: 2 };
        let key = RowKey::new(&"h".repeat(255), vec![0; 255]);
        // Another hash would flush the cache, and cache a row under two keys while two versions run.
        let expected = "diptych:seats_g2:#PuCpvnKQITZbe3dCg8eufT0kL3ne4uuZUrgXArDc77c";
        assert_eq!(text(&Keys::new("diptych", None).of_row(view, &key)), expected);
    }
}
