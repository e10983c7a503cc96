//! Time: the timestamp type, and the clock trait that tests can replace.

use std::time::Duration;

/// Point in time, in microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a timestamp from microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since 1970-01-01 UTC and the remaining nanoseconds, as in `google.protobuf.Timestamp`.
    #[must_use]
    pub fn seconds_and_nanos(self) -> (i64, i32) {
        // The remainder is below 10^6, so the product is below 10^9 and fits.
        (self.0.div_euclid(1_000_000), i32::try_from(self.0.rem_euclid(1_000_000) * 1_000).unwrap_or_default())
    }

    /// Returns this timestamp plus `micros` microseconds, saturating.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Returns the seconds elapsed since `earlier`, or 0 if it is not earlier.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        // Lossless up to 2^53 microseconds, which is 285 years.
        #[allow(clippy::cast_precision_loss, reason = "an age of 285 years may be off by a microsecond")]
        let micros = self.0.saturating_sub(earlier.0).max(0) as f64;
        micros / 1e6
    }
}

/// Source of the current time. Embedded adapters and services receive one; tests pass one that they control.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns the time since an arbitrary moment. Unlike [`Clock::now`] it cannot be set: it never goes back and never
    /// jumps ahead. It may stand still while the machine is suspended.
    fn monotonic(&self) -> Duration;
}
