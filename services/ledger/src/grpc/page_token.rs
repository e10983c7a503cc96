//! Page tokens: encode the key at which the next page of a list starts.

use diptych_kernel::{Fingerprint, vocabulary::TokenCodec};
use diptych_runtime::Failure;

/// The list that a token belongs to. Clients hold tokens with these numbers: a number is never reused for another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PagedList {
    /// `ListEntries`, of an account.
    Entries = 1,
    /// `ListAccounts`, of an owner.
    Accounts = 2,
}

/// The longest text that is encoded has 104 bytes.
const CODEC: TokenCodec =
    TokenCodec { format: 1, checksum_prefix: b"\0\0\0\0\0\0\0\x0apage token", text_bytes_max: 256 };

const PARAMETER_HASH_BYTES: usize = 8;

/// Returns the token of the page that starts after `key`. Its payload is the list, a hash of the list's parameter (an
/// account id or an owner id), and the key.
pub(super) fn encode(list: PagedList, parameter: &str, key: &[u8]) -> String {
    let mut payload = vec![list as u8];
    payload.extend_from_slice(&parameter_hash(parameter));
    payload.extend_from_slice(key);
    CODEC.encode(&payload)
}

/// Returns the key after which the page starts; `None` for the first page, whose token is empty.
///
/// `parameter` is `None` when the request parameter is itself invalid: the token is then checked without it.
///
/// # Errors
/// When the text is not a token of this list with this parameter.
pub(super) fn decode(list: PagedList, parameter: Option<&str>, text: &str) -> Result<Option<Vec<u8>>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    key_of(list, parameter, text).map(Some).ok_or_else(invalid)
}

/// The failure of a call whose page token is not one of the list.
pub(super) fn invalid() -> Failure {
    Failure::PageTokenInvalid { field: "page_token".into() }
}

fn key_of(list: PagedList, parameter: Option<&str>, text: &str) -> Option<Vec<u8>> {
    let payload = CODEC.decode(text).ok()?;
    let (hash, key) = payload.strip_prefix(&[list as u8])?.split_first_chunk::<PARAMETER_HASH_BYTES>()?;
    parameter.is_none_or(|parameter| parameter_hash(parameter) == *hash).then(|| key.to_vec())
}

fn parameter_hash(parameter: &str) -> [u8; PARAMETER_HASH_BYTES] {
    let hash = Fingerprint::of("page token parameter", parameter.as_bytes());
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_survives_its_token() {
        let text = encode(PagedList::Entries, "alice", b"key");
        assert_eq!(decode(PagedList::Entries, Some("alice"), &text), Ok(Some(b"key".to_vec())));
        assert_eq!(decode(PagedList::Entries, Some("alice"), ""), Ok(None));
        assert!(encode(PagedList::Accounts, &"x".repeat(64), "y".repeat(64).as_bytes()).len() <= 104);
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let text = encode(PagedList::Entries, "alice", b"key");
        assert_eq!(decode(PagedList::Accounts, Some("alice"), &text), Err(invalid()));
        assert_eq!(decode(PagedList::Entries, Some("bob"), &text), Err(invalid()));
    }

    #[test]
    fn a_token_that_was_changed_is_refused() {
        let text = encode(PagedList::Entries, "alice", &7_u32.to_be_bytes());
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(decode(PagedList::Entries, Some("alice"), &changed), Err(invalid()), "{changed}");
        }
        assert_eq!(decode(PagedList::Entries, Some("alice"), &"A".repeat(10_000)), Err(invalid()));
    }

    /// Clients hold tokens across upgrades.
    #[test]
    fn the_text_of_a_token_never_changes() {
        assert_eq!(encode(PagedList::Entries, "alice", b"key"), "AQHAs9Z9gWOIK2tleQWvP10");
    }

    #[test]
    fn a_token_is_checked_without_a_parameter_where_that_is_invalid() {
        let text = encode(PagedList::Entries, "alice", b"key");
        assert_eq!(decode(PagedList::Entries, None, &text), Ok(Some(b"key".to_vec())));
        assert_eq!(decode(PagedList::Accounts, None, &text), Err(invalid()));
        assert_eq!(decode(PagedList::Entries, None, "garbage"), Err(invalid()));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(text in ".{1,300}") {
            prop_assert_eq!(decode(PagedList::Entries, Some("alice"), &text), Err(invalid()));
        }
    }
}
