//! Amounts of money, in minor units (cents, hellers).

use super::ValueError;

/// The maximum of amounts and overdraft limits, in minor units: 10^15.
const MINOR_MAX: i64 = 1_000_000_000_000_000;

/// The amount of a posting: 1 to 10^15 minor units. Never negative: the kind of the posting gives the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    /// The maximum amount.
    pub const MAX: Self = Self(MINOR_MAX);

    /// Creates an amount of this many minor units.
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

    /// The number of minor units.
    #[must_use]
    pub fn minor(self) -> i64 {
        self.0
    }
}

/// An overdraft limit: 0 to 10^15 minor units. The balance may go down to minus this amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverdraftLimit(i64);

impl OverdraftLimit {
    /// The maximum limit.
    pub const MAX: Self = Self(MINOR_MAX);

    /// Creates a limit of this many minor units.
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

    /// The number of minor units.
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
