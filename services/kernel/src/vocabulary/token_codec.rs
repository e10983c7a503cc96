//! Text encoding of opaque tokens that need no authentication, such as page tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

const CHECKSUM_BYTES: usize = 4;

/// Encodes opaque tokens as text: base64url (without padding) of a format byte, a payload, and a checksum.
///
/// The checksum is the first four bytes of SHA-256 over a prefix of the token's kind, the format byte and the payload.
/// It detects accidental changes and tokens of another kind; it does not protect against forgery.
#[derive(Clone, Copy, Debug)]
pub struct TokenCodec {
    /// First byte of every token. A decoder refuses any other value.
    pub format: u8,
    /// Hashed before the token, so that a token of one kind is not valid as another.
    pub checksum_prefix: &'static [u8],
    /// Maximum length of the text, in bytes.
    pub text_bytes_max: usize,
}

/// A text that a [`TokenCodec`] did not encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenCodecError {
    /// The text is longer than [`TokenCodec::text_bytes_max`].
    #[error("the token is too long: {0} bytes")]
    TooLong(usize),
    /// The text is not base64url, has another format byte, or fails the checksum.
    #[error("the token was not issued by this service, or was altered")]
    Invalid,
}

impl TokenCodec {
    /// Encodes a payload as text.
    #[must_use]
    pub fn encode(&self, payload: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(1 + payload.len() + CHECKSUM_BYTES);
        bytes.push(self.format);
        bytes.extend_from_slice(payload);
        let checksum = self.checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Returns the payload of a text.
    ///
    /// # Errors
    /// If the text is too long, or was not returned by [`TokenCodec::encode`] of the same codec.
    pub fn decode(&self, text: &str) -> Result<Vec<u8>, TokenCodecError> {
        if text.len() > self.text_bytes_max {
            return Err(TokenCodecError::TooLong(text.len()));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenCodecError::Invalid)?;
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TokenCodecError::Invalid)?;
        match body.split_first() {
            Some((format, payload)) if *format == self.format && self.checksum(body) == *checksum => {
                Ok(payload.to_vec())
            }
            _ => Err(TokenCodecError::Invalid),
        }
    }

    fn checksum(&self, body: &[u8]) -> [u8; CHECKSUM_BYTES] {
        let hash = Sha256::new().chain_update(self.checksum_prefix).chain_update(body).finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODEC: TokenCodec = TokenCodec { format: 1, checksum_prefix: b"", text_bytes_max: 32 };

    #[test]
    fn a_payload_survives_its_text() {
        for payload in [&b""[..], b"x", b"sixteen bytes ..."] {
            assert_eq!(CODEC.decode(&CODEC.encode(payload)), Ok(payload.to_vec()));
        }
    }

    #[test]
    fn a_token_of_another_format_or_kind_is_refused() {
        let text = CODEC.encode(b"payload");
        for other in [TokenCodec { format: 2, ..CODEC }, TokenCodec { checksum_prefix: b"page", ..CODEC }] {
            assert_eq!(other.decode(&text), Err(TokenCodecError::Invalid), "{other:?}");
        }
    }

    #[test]
    fn a_long_text_is_refused_before_it_is_decoded() {
        assert_eq!(CODEC.decode(&"A".repeat(33)), Err(TokenCodecError::TooLong(33)));
        assert_eq!(CODEC.decode(&"A".repeat(32)), Err(TokenCodecError::Invalid));
    }
}
