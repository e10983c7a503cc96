//! Consistency tokens as text, authenticated by the installation.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::{History, HistoryComparison, Partitions, Position, Token, TokenError};

/// First byte of every token.
const FORMAT: u8 = 2;
/// Bytes of the authentication code: enough that guessing one is hopeless, and short in every answer.
const CODE_BYTES: usize = 8;
const TAG_BYTES: usize = 4;

/// Secret key of an installation, with which its consistency tokens are authenticated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// Creates a random key.
    #[must_use]
    pub fn random() -> Self {
        let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(first.as_bytes());
        bytes[16..].copy_from_slice(second.as_bytes());
        Self(bytes)
    }

    /// Creates a key from its stored 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// Encodes and decodes the consistency tokens of an installation. A clone is cheap.
///
/// A text is base64url (without padding) of a format byte, the [tag](super::HistoryId::tag) of the history in which its
/// newest position was assigned, the payload of the token, and the first eight bytes of HMAC-SHA-256 (RFC 2104) over
/// them. So no client can make one, and a token of another installation, or of commands that a restore has lost, is
/// refused.
#[derive(Clone)]
pub struct TokenIssuer(Arc<IssuerState>);

struct IssuerState {
    history: History,
    /// The keyed state before the first byte.
    hmac: Hmac<Sha256>,
}

impl TokenIssuer {
    /// Creates the issuer of an installation with this history and key.
    #[must_use]
    pub fn new(history: History, key: &TokenKey) -> Self {
        // A key of any length is accepted, so the fallback is never used.
        let hmac = Hmac::new_from_slice(key.as_bytes()).unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self(Arc::new(IssuerState { history, hmac }))
    }

    /// Encodes a token as text, which is the same after a restart or a restore that kept its events. An empty token is
    /// an empty text.
    #[must_use]
    pub fn encode(&self, token: &Token) -> String {
        if token.is_empty() {
            return String::new();
        }
        let mut bytes = vec![FORMAT];
        bytes.extend(self.0.history.id_at(newest(token)).tag());
        token.write_payload(&mut bytes);
        let code = self.code(&bytes);
        bytes.extend(code);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes one token, or several joined by commas.
    ///
    /// # Errors
    /// If any of them was not issued by this installation, or names positions that it does not have.
    pub fn decode(&self, text: &str, partitions: Partitions) -> Result<Token, TokenError> {
        let mut decoded = Token::default();
        for part in parts(text)? {
            let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Invalid)?;
            let (tag, payload) = split(&bytes)?;
            let (body, code) = bytes.split_at(bytes.len() - CODE_BYTES);
            let mut hmac = self.0.hmac.clone();
            hmac.update(body);
            hmac.verify_truncated_left(code).map_err(|_| TokenError::Invalid)?;
            let token = Token::read_payload(payload, partitions)?;
            match self.0.history.comparison_by_tag(tag, newest(&token)) {
                HistoryComparison::Shared => decoded.extend(token.iter()),
                HistoryComparison::Lost { .. } | HistoryComparison::Unknown => return Err(TokenError::OtherHistory),
            }
        }
        Ok(decoded)
    }

    fn code(&self, body: &[u8]) -> [u8; CODE_BYTES] {
        let mut hmac = self.0.hmac.clone();
        hmac.update(body);
        hmac.finalize().into_bytes().first_chunk().copied().unwrap_or_default()
    }
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer").field("history", &self.0.history).finish_non_exhaustive()
    }
}

impl Token {
    /// Decodes one token, or several joined by commas, without checking who issued them: for clients, which do not have
    /// the key.
    ///
    /// # Errors
    /// If the text cannot be a token.
    pub fn decode_unchecked(text: &str, partitions: Partitions) -> Result<Self, TokenError> {
        let mut decoded = Self::default();
        for part in parts(text)? {
            let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Invalid)?;
            let (_, payload) = split(&bytes)?;
            decoded.extend(Self::read_payload(payload, partitions)?.iter());
        }
        Ok(decoded)
    }
}

/// Returns the newest position of a token.
fn newest(token: &Token) -> Position {
    token.iter().map(|(_, position)| position).max().unwrap_or(Position::START)
}

/// Splits joined tokens; none if the text is empty.
fn parts(text: &str) -> Result<impl Iterator<Item = &str>, TokenError> {
    if text.len() > Token::BYTES_MAX {
        return Err(TokenError::TooLong(text.len()));
    }
    Ok(text.split(',').take(if text.is_empty() { 0 } else { usize::MAX }))
}

/// Splits the bytes of a token into the tag of its history and its payload, and checks the format byte.
fn split(bytes: &[u8]) -> Result<([u8; TAG_BYTES], &[u8]), TokenError> {
    let (body, _) = bytes.split_last_chunk::<CODE_BYTES>().ok_or(TokenError::Invalid)?;
    let (format, body) = body.split_first().ok_or(TokenError::Invalid)?;
    let (tag, payload) = body.split_first_chunk::<TAG_BYTES>().ok_or(TokenError::Invalid)?;
    if *format == FORMAT { Ok((*tag, payload)) } else { Err(TokenError::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::{HistoryId, Partition};

    fn sixteen() -> Partitions {
        Partitions::new(16).unwrap()
    }

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    fn token(entries: &[(u16, i64)]) -> Token {
        entries.iter().map(|(partition, number)| (Partition::new(*partition), at(*number))).collect()
    }

    fn id(number: u128) -> HistoryId {
        HistoryId::from_uuid(Uuid::from_u128(number << 96))
    }

    fn issuer(history: History) -> TokenIssuer {
        TokenIssuer::new(history, &TokenKey::from_bytes([7; 32]))
    }

    #[test]
    fn tokens_round_trip_through_text() {
        let tokens = issuer(History::new(id(1)));
        for entries in [&[][..], &[(0, 0)], &[(3, 77), (15, i64::MAX)], &[(15, 1), (2, 1 << 40)]] {
            let token = token(entries);
            assert_eq!(tokens.decode(&tokens.encode(&token), sixteen()), Ok(token.clone()));
            assert_eq!(Token::decode_unchecked(&tokens.encode(&token), sixteen()), Ok(token));
        }
    }

    /// Clients keep tokens: a changed format would invalidate all of them.
    #[test]
    fn the_text_of_a_token_never_changes() {
        let text = issuer(History::new(id(1))).encode(&token(&[(3, 77), (15, 1 << 40)]));
        assert_eq!(text, "AgAAAAEDTQ-AgICAgCAWRa26Jc2RkQ");
    }

    #[test]
    fn joined_tokens_require_the_largest_positions() {
        let tokens = issuer(History::new(id(1)));
        let joined = [token(&[(1, 5), (2, 9)]), token(&[(1, 7)])].map(|token| tokens.encode(&token)).join(",");
        assert_eq!(tokens.decode(&joined, sixteen()), Ok(token(&[(1, 7), (2, 9)])));
    }

    #[test]
    fn a_modified_token_is_rejected() {
        let tokens = issuer(History::new(id(1)));
        let text = tokens.encode(&token(&[(3, 77)]));
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(tokens.decode(&changed, sixteen()).is_err(), "{changed}");
        }
        for garbage in ["x", "AAAA", ",", "not a token", &"A".repeat(5_000)] {
            assert!(tokens.decode(garbage, sixteen()).is_err(), "{garbage}");
            assert!(Token::decode_unchecked(garbage, sixteen()).is_err(), "{garbage}");
        }
        let foreign = tokens.encode(&token(&[(16, 1)]));
        assert_eq!(tokens.decode(&foreign, sixteen()), Err(TokenError::UnknownPartition(16)));
    }

    #[test]
    fn a_token_of_another_installation_is_rejected() {
        let text = issuer(History::new(id(1))).encode(&token(&[(3, 77)]));
        let other_key = TokenIssuer::new(History::new(id(1)), &TokenKey::random());
        assert_eq!(other_key.decode(&text, sixteen()), Err(TokenError::Invalid));
        assert_eq!(issuer(History::new(id(2))).decode(&text, sixteen()), Err(TokenError::OtherHistory));
    }

    #[test]
    fn a_token_of_an_event_that_a_restore_lost_is_rejected() {
        let before = History::new(id(1));
        let mut restored = before.clone();
        restored.renew(id(2), at(77));
        let (before, restored) = (issuer(before), issuer(restored));
        let same = token(&[(1, 5), (3, 77)]);
        assert_eq!(before.encode(&same), restored.encode(&same), "a repeated receipt has the same token");
        let [kept, lost] = [77, 78].map(|position| before.encode(&token(&[(1, 5), (3, position)])));
        assert_eq!(restored.decode(&kept, sixteen()), Ok(token(&[(1, 5), (3, 77)])));
        assert_eq!(restored.decode(&lost, sixteen()), Err(TokenError::OtherHistory));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", TokenKey::random()), "TokenKey(..)");
        assert!(!format!("{:?}", issuer(History::new(id(1)))).contains("hmac"));
    }
}
