//! Time, as one type and behind one trait, so that tests can hold it.

/// A moment: microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01 UTC and the nanoseconds after them, as `google.protobuf.Timestamp` wants them.
    #[must_use]
    pub fn seconds_and_nanos(self) -> (i64, i32) {
        // The remainder is below 10^6, so the product is below 10^9 and fits.
        (self.0.div_euclid(1_000_000), i32::try_from(self.0.rem_euclid(1_000_000) * 1_000).unwrap_or_default())
    }

    /// This moment and `micros` microseconds; stays within range.
    #[must_use]
    pub fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// How many seconds have gone by since `earlier`; 0 where it is not earlier.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        // Lossless up to 2^53 microseconds, which is 285 years.
        #[allow(clippy::cast_precision_loss, reason = "an age of 285 years may be off by a microsecond")]
        let micros = self.0.saturating_sub(earlier.0).max(0) as f64;
        micros / 1e6
    }
}

/// Tells the time. Embedded adapters and services get one handed in; tests hand in one that they hold.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;
}
