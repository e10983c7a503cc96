//! Consistency tokens.

use super::{Partition, Partitions, Position};

/// Consistency token: for some partitions, the position up to which an answer must include every event.
///
/// The encoded text is opaque to clients; [`TokenIssuer`](super::TokenIssuer) makes it and reads it. Several texts
/// joined by commas decode to one token that requires the maximum of each partition.
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
    /// The text was not issued by this installation, or was changed.
    #[error("the token was not issued by this installation, or was altered")]
    Invalid,
    /// The token is of a history that this installation does not have, up to its positions.
    #[error(
        "the token is of a command that this installation does not have: it was issued by another installation, or for \
         a command that was lost when the write database was restored from a backup"
    )]
    OtherHistory,
    /// The token names a partition that this installation does not have.
    #[error("the token names partition {0}, which this installation does not have")]
    UnknownPartition(u16),
}

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

    /// Appends pairs of partition and position as varints.
    pub(super) fn write_payload(&self, bytes: &mut Vec<u8>) {
        for (partition, position) in &self.positions {
            push_varint(bytes, u64::from(partition.number()));
            push_varint(bytes, position.as_i64().unsigned_abs());
        }
    }

    /// Reads what [`Token::write_payload`] has written.
    pub(super) fn read_payload(mut payload: &[u8], partitions: Partitions) -> Result<Self, TokenError> {
        let mut token = Self::default();
        while !payload.is_empty() {
            let number = u16::try_from(take_varint(&mut payload)?).map_err(|_| TokenError::Invalid)?;
            let position = i64::try_from(take_varint(&mut payload)?).map_err(|_| TokenError::Invalid)?;
            if number >= partitions.count() {
                return Err(TokenError::UnknownPartition(number));
            }
            token.raise(Partition::new(number), Position::from_i64(position).map_err(|_| TokenError::Invalid)?);
        }
        Ok(token)
    }
}

impl FromIterator<(Partition, Position)> for Token {
    fn from_iter<I: IntoIterator<Item = (Partition, Position)>>(entries: I) -> Self {
        let mut token = Self::default();
        token.extend(entries);
        token
    }
}

impl Extend<(Partition, Position)> for Token {
    /// Requires these positions as well.
    fn extend<I: IntoIterator<Item = (Partition, Position)>>(&mut self, entries: I) {
        for (partition, position) in entries {
            self.raise(partition, position);
        }
    }
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
