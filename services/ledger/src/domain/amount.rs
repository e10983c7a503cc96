//! How much, always in minor units (cents, hellers).

use super::ValueError;

/// The largest amount of one posting and the largest overdraft limit: 10^15 minor units.
const MINOR_MAX: i64 = 1_000_000_000_000_000;

/// What one posting moves: 1 to 10^15 minor units. Never negative: the direction is in the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    /// The largest one.
    pub const MAX: Self = Self(MINOR_MAX);

    /// Checks and takes a number of minor units.
    ///
    /// # Errors
    /// When it is not 1 to 10^15.
    pub fn from_minor(minor: i64) -> Result<Self, ValueError> {
        if (1..=MINOR_MAX).contains(&minor) {
            Ok(Self(minor))
        } else {
            Err(ValueError::OutOfRange("must be 1 to 1000000000000000"))
        }
    }

    /// In minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.0
    }
}

/// How far below zero a balance may go: 0 to 10^15 minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverdraftLimit(i64);

impl OverdraftLimit {
    /// The largest one.
    pub const MAX: Self = Self(MINOR_MAX);

    /// Checks and takes a number of minor units.
    ///
    /// # Errors
    /// When it is not 0 to 10^15.
    pub fn from_minor(minor: i64) -> Result<Self, ValueError> {
        if (0..=MINOR_MAX).contains(&minor) {
            Ok(Self(minor))
        } else {
            Err(ValueError::OutOfRange("must be 0 to 1000000000000000"))
        }
    }

    /// In minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_inclusive() {
        for (minor, good) in [(i64::MIN, false), (-1, false), (0, false), (1, true), (MINOR_MAX, true)] {
            assert_eq!(Amount::from_minor(minor).is_ok(), good, "{minor}");
        }
        for (minor, good) in [(i64::MIN, false), (-1, false), (0, true), (1, true), (MINOR_MAX, true)] {
            assert_eq!(OverdraftLimit::from_minor(minor).is_ok(), good, "{minor}");
        }
        for minor in [MINOR_MAX + 1, i64::MAX] {
            assert!(Amount::from_minor(minor).is_err());
            assert!(OverdraftLimit::from_minor(minor).is_err());
        }
    }
}
