//! From keys of rows to keys of the server.
//!
//! The server's keys have at most 250 bytes and no blanks or control characters; those of rows have up to 542 of any kind. Where it fits, a key
//! can be read by people:
//!
//! ```text
//! prefix:view_g1:group:place        each part with %XX for every byte that is not visible ASCII, and for % and :
//! prefix:view_g1:#hash              where that has more than 250 bytes; SHA-256 over all parts and their lengths, in base64url
//! prefix:~                          the greeting, see `lane::connection`
//! ```
//!
//! Different keys never meet: `:` stands nowhere but between the parts, so the number of parts tells the forms apart, and each is made of its
//! row's key reversibly or by a hash that nobody knows a collision of.

use std::{io::Write, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use diptych_kernel::domain::{RowKey, ViewId};
use sha2::{Digest, Sha256};

/// The longest key that a server takes.
const KEY_BYTES_MAX: usize = 250;

/// How much of the view's name stays readable before a hash. Views are named with 32 characters at most, so this is all of it.
const HASHED_VIEW_BYTES_MAX: usize = 48;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// A key of the server.
pub(crate) type Key = Arc<[u8]>;

/// Makes the keys of one installation.
#[derive(Debug)]
pub(crate) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    /// `prefix` is as [`MemcachedConfig::key_prefix`](crate::MemcachedConfig::key_prefix) must be.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
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

    /// Writes the key of a row in the place of what was there.
    fn write(&self, text: &mut Vec<u8>, view: ViewId, key: &RowKey) {
        text.clear();
        text.extend_from_slice(self.prefix.as_bytes());
        text.push(b':');
        escape(text, view.name.as_bytes());
        // Nothing goes wrong where there is memory.
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

    /// The key of the item that a connection writes first.
    pub(crate) fn of_greeting(&self) -> Key {
        format!("{}:~", self.prefix).into_bytes().into()
    }
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

    /// The parts that a readable key was made of; `None` for a hashed one.
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

    /// Few different bytes, the odd ones among them, so that near misses come up.
    fn row_key(bytes_max: usize) -> impl Strategy<Value = RowKey> {
        let group = vec(prop::sample::select(vec!['a', ':', '%', '#', ' ', '~', '\u{e4}', '\0']), 1..=bytes_max / 2);
        let place = vec(prop::sample::select(vec![b'a', b':', b'%', b'#', b' ', 0, 0xff]), 0..=bytes_max);
        (group, place).prop_map(|(group, place)| RowKey::new(&group.iter().collect::<String>(), place))
    }

    fn is_valid(key: &Key) -> bool {
        (1..=KEY_BYTES_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
    }

    proptest! {
        #[test]
        fn a_key_is_one_that_a_server_takes(prefix in "[a-z._-]{0,64}", view in view(), key in row_key(255)) {
            let encoded = Keys::new(&prefix).of_row(view, &key);
            prop_assert!(is_valid(&encoded), "{encoded:?}");
        }

        #[test]
        fn a_readable_key_tells_what_it_was_made_of(view in view(), key in row_key(20)) {
            let encoded = Keys::new("app").of_row(view, &key);
            let parts = parts(&encoded).unwrap();
            let [prefix, table, group, place] = parts.as_slice() else { panic!("{parts:?}") };
            prop_assert_eq!(prefix.as_slice(), b"app");
            let view = view.to_string();
            prop_assert_eq!(table.as_slice(), view.as_bytes());
            prop_assert_eq!(group.as_slice(), key.partition_key.as_bytes());
            prop_assert_eq!(place.as_slice(), key.sort_key.as_ref());
        }

        #[test]
        fn different_rows_have_different_keys(
            rows in vec((prop::sample::select(vec!["", "a", "a.b"]), view(), prop_oneof![row_key(3), row_key(255)]), 2..20)
        ) {
            let encode = |(prefix, view, key): &(&str, ViewId, RowKey)| Keys::new(prefix).of_row(*view, key);
            for first in &rows {
                for second in &rows {
                    prop_assert_eq!(first == second, encode(first) == encode(second), "{:?} and {:?}", first, second);
                }
            }
        }
    }

    #[test]
    fn keys_can_be_read() {
        let keys = Keys::new("diptych");
        let view = ViewId { name: "seats", generation: 2 };
        assert_eq!(text(&keys.of_row(view, &RowKey::single("hall-7"))), "diptych:seats_g2:hall-7:");
        let key = RowKey::new("hall 7", &[0, b':', b'x', 0xff][..]);
        assert_eq!(text(&keys.of_row(view, &key)), "diptych:seats_g2:hall%207:%00%3Ax%FF");
        assert_eq!(text(&keys.of_greeting()), "diptych:~");
    }

    #[test]
    fn a_long_key_keeps_its_view_readable_and_never_changes() {
        let view = ViewId { name: "seats", generation: 2 };
        let key = RowKey::new(&"h".repeat(255), vec![0; 255]);
        // Another hash would be a flush of the cache, or a row under two keys, for as long as two versions run.
        let expected = "diptych:seats_g2:#PuCpvnKQITZbe3dCg8eufT0kL3ne4uuZUrgXArDc77c";
        assert_eq!(text(&Keys::new("diptych").of_row(view, &key)), expected);
    }
}
