//! Consistency tokens.

use super::{
    Partition, Partitions, Position,
    token_codec::{TokenCodec, TokenCodecError},
};

/// Consistency token: for some partitions, the position up to which an answer must include every event.
///
/// The encoded text is opaque to clients: pairs of partition and position as varints, encoded by [`TokenCodec`].
/// Several texts joined by commas decode to one token that requires the maximum of each partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Sorted by partition, one entry each.
    positions: Vec<(Partition, Position)>,
}

/// Error for a text that is not a consistency token of this installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text is longer than [`Token::BYTES_MAX`].
    #[error("the token has {0} bytes: the maximum is {max}", max = Token::BYTES_MAX)]
    TooLong(usize),
    /// The text was not returned by [`Token::encode`].
    #[error("the token was not issued by this service, or was altered")]
    Invalid,
    /// The token names a partition that this installation does not have.
    #[error("the token names partition {0}, which this installation does not have")]
    UnknownPartition(u16),
}

const CODEC: TokenCodec = TokenCodec { format: 1, checksum_prefix: b"", text_bytes_max: Token::BYTES_MAX };

impl Token {
    /// Largest length of an encoded token, in bytes.
    pub const BYTES_MAX: usize = 4_096;

    /// Returns whether the token requires nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Returns the position required in a partition, or [`Position::START`].
    #[must_use]
    pub fn position(&self, partition: Partition) -> Position {
        match self.positions.binary_search_by_key(&partition, |entry| entry.0) {
            Ok(index) => self.positions[index].1,
            Err(_) => Position::START,
        }
    }

    /// Iterates over the partitions that have a required position, sorted by partition.
    pub fn iter(&self) -> impl Iterator<Item = (Partition, Position)> + '_ {
        self.positions.iter().copied()
    }

    /// Requires `position` in `partition` as well. Never lowers a required position.
    pub fn raise(&mut self, partition: Partition, position: Position) {
        match self.positions.binary_search_by_key(&partition, |entry| entry.0) {
            Ok(index) => self.positions[index].1 = self.positions[index].1.max(position),
            Err(index) => self.positions.insert(index, (partition, position)),
        }
    }

    /// Encodes the token as text. An empty token is an empty text.
    #[must_use]
    pub fn encode(&self) -> String {
        if self.is_empty() {
            return String::new();
        }
        let mut payload = Vec::with_capacity(self.positions.len() * 10);
        for (partition, position) in &self.positions {
            push_varint(&mut payload, u64::from(partition.number()));
            push_varint(&mut payload, position.as_i64().unsigned_abs());
        }
        CODEC.encode(&payload)
    }

    /// Decodes one token, or several joined by commas.
    ///
    /// # Errors
    /// If any of them was not created by [`Token::encode`] for an installation with these partitions.
    pub fn decode(text: &str, partitions: Partitions) -> Result<Self, TokenError> {
        if text.len() > Self::BYTES_MAX {
            return Err(TokenError::TooLong(text.len()));
        }
        let mut token = Self::default();
        if text.is_empty() {
            return Ok(token);
        }
        for part in text.split(',') {
            raise_to(&mut token, &CODEC.decode(part)?, partitions)?;
        }
        Ok(token)
    }
}

impl FromIterator<(Partition, Position)> for Token {
    fn from_iter<I: IntoIterator<Item = (Partition, Position)>>(entries: I) -> Self {
        let mut token = Self::default();
        for (partition, position) in entries {
            token.raise(partition, position);
        }
        token
    }
}

impl From<TokenCodecError> for TokenError {
    fn from(error: TokenCodecError) -> Self {
        match error {
            TokenCodecError::TooLong(bytes) => Self::TooLong(bytes),
            TokenCodecError::Invalid => Self::Invalid,
        }
    }
}

/// Raises `token` to the positions of an encoded token.
fn raise_to(token: &mut Token, mut payload: &[u8], partitions: Partitions) -> Result<(), TokenError> {
    while !payload.is_empty() {
        let number = u16::try_from(take_varint(&mut payload)?).map_err(|_| TokenError::Invalid)?;
        let position = i64::try_from(take_varint(&mut payload)?).map_err(|_| TokenError::Invalid)?;
        if number >= partitions.count() {
            return Err(TokenError::UnknownPartition(number));
        }
        token.raise(Partition::new(number), Position::from_i64(position).map_err(|_| TokenError::Invalid)?);
    }
    Ok(())
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, TokenError> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(TokenError::Invalid)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(TokenError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sixteen() -> Partitions {
        Partitions::new(16).unwrap()
    }

    fn token(entries: &[(u16, i64)]) -> Token {
        entries.iter().map(|(p, at)| (Partition::new(*p), Position::from_i64(*at).unwrap())).collect()
    }

    #[test]
    fn tokens_round_trip_through_text() {
        for entries in [&[][..], &[(0, 0)], &[(3, 77), (15, i64::MAX)], &[(15, 1), (2, 1 << 40)]] {
            let token = token(entries);
            assert_eq!(Token::decode(&token.encode(), sixteen()).unwrap(), token);
        }
    }

    /// Clients keep tokens: a changed format would invalidate all of them.
    #[test]
    fn the_text_of_a_token_never_changes() {
        assert_eq!(token(&[(3, 77), (15, 1 << 40)]).encode(), "AQNND4CAgICAIHzennI");
    }

    #[test]
    fn joined_tokens_require_the_largest_positions() {
        let joined = format!("{},{}", token(&[(1, 5), (2, 9)]).encode(), token(&[(1, 7)]).encode());
        assert_eq!(Token::decode(&joined, sixteen()).unwrap(), token(&[(1, 7), (2, 9)]));
    }

    #[test]
    fn a_modified_token_is_rejected() {
        let text = token(&[(3, 77)]).encode();
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(Token::decode(&changed, sixteen()).is_err(), "{changed}");
        }
        for garbage in ["x", "AAAA", ",", "not a token", &"A".repeat(5_000)] {
            assert!(Token::decode(garbage, sixteen()).is_err(), "{garbage}");
        }
        assert_eq!(Token::decode(&token(&[(16, 1)]).encode(), sixteen()), Err(TokenError::UnknownPartition(16)));
    }
}
