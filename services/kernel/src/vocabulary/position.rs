//! Position: one number that orders everything.

use std::fmt;

/// How many bits of a position count the events within a transaction.
pub const ORDINAL_BITS: u32 = 20;

/// Where an event stands in the order of all events: `transaction id << 20 | ordinal of the event in its transaction`.
///
/// Along a stream, position grows with version. The same number is the relay's cursor, the log's header, the consumer's watermark,
/// the write timestamp of a row, the version of a cached value, and what a token holds. [`Position::START`] (0) is before every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(i64);

/// A number that cannot be a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// Positions are not negative.
    #[error("position {0} is negative")]
    Negative(i64),
    /// A transaction id above 2^43 - 1 does not fit.
    #[error("transaction id {0} does not fit into a position (at most 2^43 - 1)")]
    TransactionTooLarge(u64),
    /// More than 2^20 events in a transaction.
    #[error("event ordinal {0} does not fit into a position (at most 2^20 - 1)")]
    OrdinalTooLarge(u32),
}

impl Position {
    /// Before every event.
    pub const START: Self = Self(0);

    /// The position of the `ordinal`th event (from 0) of a transaction.
    ///
    /// # Errors
    /// When either number is too large for its bits.
    pub fn new(transaction_id: u64, ordinal: u32) -> Result<Self, PositionError> {
        if ordinal >> ORDINAL_BITS != 0 {
            return Err(PositionError::OrdinalTooLarge(ordinal));
        }
        match i64::try_from(transaction_id) {
            Ok(id) if id >> (63 - ORDINAL_BITS) == 0 => Ok(Self((id << ORDINAL_BITS) | i64::from(ordinal))),
            _ => Err(PositionError::TransactionTooLarge(transaction_id)),
        }
    }

    /// A position read from storage or a token.
    ///
    /// # Errors
    /// When it is negative.
    pub fn from_i64(value: i64) -> Result<Self, PositionError> {
        if value < 0 { Err(PositionError::Negative(value)) } else { Ok(Self(value)) }
    }

    /// The number itself, never negative.
    #[must_use]
    pub fn as_i64(self) -> i64 {
        self.0
    }

    /// The id of the transaction that stored the event.
    #[must_use]
    pub fn transaction_id(self) -> u64 {
        (self.0 >> ORDINAL_BITS).unsigned_abs()
    }

    /// The position `count` events later in the same transaction. The caller knows that the transaction has that many events.
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
    fn transaction_and_ordinal_share_the_bits() {
        let position = Position::new(3, 5).unwrap();
        assert_eq!(position.as_i64(), (3 << 20) | 5);
        assert_eq!(position.transaction_id(), 3);
        assert_eq!(position.plus(2), Position::new(3, 7).unwrap());
    }

    #[test]
    fn the_limits_are_those_of_the_bits() {
        assert_eq!(Position::new((1 << 43) - 1, (1 << 20) - 1).unwrap().as_i64(), i64::MAX);
        assert_eq!(Position::new(1 << 43, 0), Err(PositionError::TransactionTooLarge(1 << 43)));
        assert_eq!(Position::new(1, 1 << 20), Err(PositionError::OrdinalTooLarge(1 << 20)));
        assert_eq!(Position::from_i64(-1), Err(PositionError::Negative(-1)));
    }
}
