//! Position: the number that orders all events.

use std::fmt;

/// Number of low bits of a position that hold the event's ordinal in its transaction.
pub const ORDINAL_BITS: u32 = 20;

/// Position of an event in the order of all events: `transaction id << 20 | ordinal of the event in its transaction`.
///
/// Along a stream, position grows with version. The same number serves as the relay's cursor, the record header on the
/// log, the consumer's watermark, the write timestamp of a row, the version of a cached value, and the content of a
/// token. [`Position::START`] (0) is before every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(i64);

/// Error for a number that is not a valid position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// The number is negative.
    #[error("position {0} is negative")]
    Negative(i64),
    /// The transaction id is above 2^43 - 1.
    #[error("transaction id {0} is too large for a position: the maximum is 2^43 - 1")]
    TransactionTooLarge(u64),
    /// The transaction has more than 2^20 events.
    #[error("event ordinal {0} is too large for a position: the maximum is 2^20 - 1")]
    OrdinalTooLarge(u32),
}

impl Position {
    /// Position before every event.
    pub const START: Self = Self(0);

    /// Creates the position of the event with this ordinal (from 0) in a transaction.
    ///
    /// # Errors
    /// If either number does not fit its bits.
    pub fn new(transaction_id: u64, ordinal: u32) -> Result<Self, PositionError> {
        if ordinal >> ORDINAL_BITS != 0 {
            return Err(PositionError::OrdinalTooLarge(ordinal));
        }
        match i64::try_from(transaction_id) {
            Ok(id) if id >> (63 - ORDINAL_BITS) == 0 => Ok(Self((id << ORDINAL_BITS) | i64::from(ordinal))),
            _ => Err(PositionError::TransactionTooLarge(transaction_id)),
        }
    }

    /// Creates a position from a number read from storage or a token.
    ///
    /// # Errors
    /// If the number is negative.
    pub fn from_i64(value: i64) -> Result<Self, PositionError> {
        if value < 0 { Err(PositionError::Negative(value)) } else { Ok(Self(value)) }
    }

    /// Returns the number; never negative.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        self.0
    }

    /// Returns the id of the transaction that stored the event.
    #[must_use]
    pub fn transaction_id(self) -> u64 {
        (self.0 >> ORDINAL_BITS).unsigned_abs()
    }

    /// Returns the position `count` events later in the same transaction. The caller ensures that the transaction has
    /// that many events.
    #[must_use]
    pub fn plus(self, count: u32) -> Self {
        Self(self.0 + i64::from(count))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_combines_transaction_id_and_ordinal() {
        let position = Position::new(3, 5).unwrap();
        assert_eq!(position.as_i64(), (3 << 20) | 5);
        assert_eq!(position.transaction_id(), 3);
        assert_eq!(position.plus(2), Position::new(3, 7).unwrap());
    }

    #[test]
    fn numbers_that_do_not_fit_their_bits_are_rejected() {
        assert_eq!(Position::new((1 << 43) - 1, (1 << 20) - 1).unwrap().as_i64(), i64::MAX);
        assert_eq!(Position::new(1 << 43, 0), Err(PositionError::TransactionTooLarge(1 << 43)));
        assert_eq!(Position::new(1, 1 << 20), Err(PositionError::OrdinalTooLarge(1 << 20)));
        assert_eq!(Position::from_i64(-1), Err(PositionError::Negative(-1)));
    }
}
