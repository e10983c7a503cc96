//! Ids of accounts and their owners.

use std::{fmt, sync::Arc};

use diptych_kernel::StreamId;

use super::ValueError;

/// Maximum length of an id.
const CHARACTERS_MAX: usize = 64;

/// Prefix of the stream name of an account, before the account id.
const STREAM_PREFIX: &str = "account-";

/// The id of an account, chosen by the client: 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'. Cheap to clone.
///
/// Stored as the name of the account's stream, which is needed far more often than the id alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(StreamId);

impl AccountId {
    /// Parses an id.
    ///
    /// # Errors
    /// When the text is empty, too long, or has another character.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        check(text)?;
        let name = format!("{STREAM_PREFIX}{text}");
        StreamId::new(&name).map(Self).map_err(|_| ValueError::Malformed(CHARACTERS))
    }

    /// Returns the id of the account with this stream; `None` when the stream is not that of an account.
    #[must_use]
    pub fn of_stream(stream_id: &StreamId) -> Option<Self> {
        check(stream_id.as_str().strip_prefix(STREAM_PREFIX)?).ok()?;
        Some(Self(stream_id.clone()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str().get(STREAM_PREFIX.len()..).unwrap_or_default()
    }

    /// The stream of the account's events.
    #[must_use]
    pub fn stream_id(&self) -> &StreamId {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({:?})", self.as_str())
    }
}

/// The id of an owner of accounts: 1 to 64 of the same characters as an account id. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(Arc<str>);

impl OwnerId {
    /// Parses an id.
    ///
    /// # Errors
    /// When the text is empty, too long, or has another character.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const CHARACTERS: &str = "may only have the characters A-Z, a-z, 0-9, '.', '_' and '-'";

fn check(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::Missing);
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(ValueError::Malformed(CHARACTERS));
    }
    if text.len() > CHARACTERS_MAX {
        return Err(ValueError::TooLong("may have at most 64 characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_its_stream() {
        let id = AccountId::parse("A.b_9-z").unwrap();
        assert_eq!(id.stream_id().as_str(), "account-A.b_9-z");
        assert_eq!(id.as_str(), "A.b_9-z");
        assert_eq!(AccountId::of_stream(id.stream_id()), Some(id));
        assert_eq!(AccountId::of_stream(&StreamId::new("seat-7").unwrap()), None);
        assert_eq!(AccountId::of_stream(&StreamId::new("account-").unwrap()), None);
    }

    #[test]
    fn ids_have_1_to_64_of_the_listed_characters() {
        let longest = "x".repeat(64);
        assert_eq!(AccountId::parse(&longest).unwrap().as_str(), longest);
        assert_eq!(OwnerId::parse(&longest).unwrap().as_str(), longest);
        assert_eq!(OwnerId::parse(""), Err(ValueError::Missing));
        assert!(matches!(OwnerId::parse(&"x".repeat(65)), Err(ValueError::TooLong(_))));
        for bad in ["a b", "a/b", "ä", "a\0", "a:b", "a,b"] {
            assert!(matches!(AccountId::parse(bad), Err(ValueError::Malformed(_))), "{bad:?}");
        }
    }
}
