//! Where a list goes on.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use diptych_kernel::Fingerprint;
use diptych_runtime::Failure;

/// Which list a token belongs to. The numbers stand in tokens that callers hold: they are never given to another list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// `ListEntries`, of an account.
    Entries = 1,
    /// `ListAccounts`, of an owner.
    Accounts = 2,
}

const FORMAT: u8 = 1;

/// Longer texts are not looked at. The longest real one has 104 bytes.
const TEXT_BYTES_MAX: usize = 256;

const PARAMETER_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// The text after which the list goes on behind `key`: base64url of the format, the list, a hash of its parameter, the key, and a
/// checksum against changes on the way.
pub(super) fn encode(list: List, parameter: &str, key: &[u8]) -> String {
    let mut bytes = header(list, parameter);
    bytes.extend_from_slice(key);
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key behind which the list goes on; `None` from its beginning.
///
/// # Errors
/// When the text is not a token of this list with this parameter.
pub(super) fn decode(list: List, parameter: &str, text: &str) -> Result<Option<Vec<u8>>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    key_of(list, parameter, text).map(Some).ok_or_else(invalid)
}

/// What the caller hears where a token is not one of the list's.
pub(super) fn invalid() -> Failure {
    Failure::PageTokenInvalid { field: "page_token".into() }
}

fn key_of(list: List, parameter: &str, text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    let key = body.strip_prefix(header(list, parameter).as_slice())?;
    (checksum(body) == *sum).then(|| key.to_vec())
}

fn header(list: List, parameter: &str) -> Vec<u8> {
    let mut bytes = vec![FORMAT, list as u8];
    bytes.extend_from_slice(&first_bytes::<PARAMETER_BYTES>("page token parameter", parameter.as_bytes()));
    bytes
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    first_bytes("page token", body)
}

fn first_bytes<const N: usize>(kind: &str, content: &[u8]) -> [u8; N] {
    let hash = Fingerprint::of(kind, content);
    hash.as_bytes().first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_goes_on_where_it_was_made() {
        let text = encode(List::Entries, "alice", b"key");
        assert_eq!(decode(List::Entries, "alice", &text), Ok(Some(b"key".to_vec())));
        assert_eq!(decode(List::Entries, "alice", ""), Ok(None));
        assert!(encode(List::Accounts, &"x".repeat(64), "y".repeat(64).as_bytes()).len() <= 104);
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let text = encode(List::Entries, "alice", b"key");
        assert_eq!(decode(List::Accounts, "alice", &text), Err(invalid()));
        assert_eq!(decode(List::Entries, "bob", &text), Err(invalid()));
    }

    #[test]
    fn a_token_that_was_changed_is_refused() {
        let text = encode(List::Entries, "alice", &7_u32.to_be_bytes());
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(decode(List::Entries, "alice", &changed), Err(invalid()), "{changed}");
        }
        assert_eq!(decode(List::Entries, "alice", &"A".repeat(10_000)), Err(invalid()));
    }

    proptest! {
        #[test]
        fn garbage_is_refused(text in ".{1,300}") {
            prop_assert_eq!(decode(List::Entries, "alice", &text), Err(invalid()));
        }
    }
}
