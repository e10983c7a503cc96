//! Numbers with a range: counts, sizes, durations, ratios, and switches.

use std::{fmt, str::FromStr, time::Duration};

use super::value::{PartValue, SettingValue};
use crate::client::table::grouped;

/// A whole number from `MIN` to `MAX`, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count<const MIN: u64, const MAX: u64>(pub(super) u64);

/// A size from `MIN` to `MAX` bytes, both inclusive: "512B", "64KiB", "16MiB", "1GiB".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize<const MIN: u64, const MAX: u64>(pub(super) u64);

/// A duration from `MIN` to `MAX` milliseconds, both inclusive: "250ms", "5s", "10m", "1h", "30d".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeSpan<const MIN: u64, const MAX: u64>(pub(super) u64);

/// A number from 0 to 1, stored in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio(pub(super) u32);

/// True or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switch(pub(super) bool);

/// Units and their factors, the largest first.
type Units = [(&'static str, u64)];

const SIZE_UNITS: &Units = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const TIME_UNITS: &Units = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    /// The number, or the nearest end of the range.
    pub(crate) fn clamped(number: u64) -> Self {
        Self(number.clamp(MIN, MAX))
    }

    pub(crate) fn u16(self) -> u16 {
        self.to_part()
    }

    pub(crate) fn usize(self) -> usize {
        self.to_part()
    }
}

impl<const MIN: u64, const MAX: u64> ByteSize<MIN, MAX> {
    /// The size, or the nearest end of the range.
    pub(crate) fn clamped(bytes: u64) -> Self {
        Self(bytes.clamp(MIN, MAX))
    }

    pub(crate) fn bytes(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> TimeSpan<MIN, MAX> {
    /// The duration in whole milliseconds, or the nearest end of the range.
    pub(crate) fn clamped(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(MIN, MAX))
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl Ratio {
    /// One: everything.
    pub(crate) const ONE: Self = Self(1_000_000);

    /// The number, from 0 to 1.
    pub(crate) fn f64(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }
}

impl<const MIN: u64, const MAX: u64> SettingValue for Count<MIN, MAX> {
    fn allowed() -> String {
        format!("{} to {}", grouped(MIN), grouped(MAX))
    }
}

impl<const MIN: u64, const MAX: u64> SettingValue for ByteSize<MIN, MAX> {
    fn allowed() -> String {
        format!("{} to {}", in_largest_unit(MIN, SIZE_UNITS), in_largest_unit(MAX, SIZE_UNITS))
    }
}

impl<const MIN: u64, const MAX: u64> SettingValue for TimeSpan<MIN, MAX> {
    fn allowed() -> String {
        format!("{} to {}", in_largest_unit(MIN, TIME_UNITS), in_largest_unit(MAX, TIME_UNITS))
    }
}

impl SettingValue for Ratio {
    fn allowed() -> String {
        "0 to 1".to_owned()
    }
}

impl SettingValue for Switch {
    fn allowed() -> String {
        "true or false".to_owned()
    }
}

/// Counts for each integer type. A number outside the range of either type becomes the nearest that is inside.
macro_rules! count_as {
    ($($Integer:ty),+) => {$(
        impl<const MIN: u64, const MAX: u64> PartValue<$Integer> for Count<MIN, MAX> {
            fn from_part(value: $Integer) -> Self {
                Self::clamped(u64::try_from(value).unwrap_or(u64::MAX))
            }

            fn to_part(&self) -> $Integer {
                <$Integer>::try_from(self.0).unwrap_or(<$Integer>::MAX)
            }
        }
    )+};
}

count_as!(u8, u16, u32, usize);

impl<const MIN: u64, const MAX: u64> PartValue<usize> for ByteSize<MIN, MAX> {
    fn from_part(value: usize) -> Self {
        Self::clamped(u64::try_from(value).unwrap_or(u64::MAX))
    }

    fn to_part(&self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> PartValue<Duration> for TimeSpan<MIN, MAX> {
    fn from_part(value: Duration) -> Self {
        Self::clamped(value)
    }

    fn to_part(&self) -> Duration {
        self.duration()
    }
}

impl PartValue<bool> for Switch {
    fn from_part(value: bool) -> Self {
        Self(value)
    }

    fn to_part(&self) -> bool {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Count<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace('_', "");
        let number = digits.parse().ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| format!("write a whole number from {}", Self::allowed()))
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for ByteSize<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = with_unit(text, SIZE_UNITS).filter(|bytes| (MIN..=MAX).contains(bytes));
        bytes.map(Self).ok_or_else(|| format!("write a size from {}, with a unit (B, KiB, MiB, GiB)", Self::allowed()))
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for TimeSpan<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let millis = with_unit(text, TIME_UNITS).filter(|millis| (MIN..=MAX).contains(millis));
        millis
            .map(Self)
            .ok_or_else(|| format!("write a duration from {}, with a unit (ms, s, m, h, d)", Self::allowed()))
    }
}

/// Parses the duration of a flag, from `MIN` milliseconds to a day. A number without a unit is in seconds.
pub(crate) fn duration_flag<const MIN: u64>(text: &str) -> Result<Duration, String> {
    const DAY: u64 = 86_400_000;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = if is_number { format!("{text}s") } else { text.to_owned() };
    text.parse::<TimeSpan<MIN, DAY>>().map(TimeSpan::duration)
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ratio: Option<f64> = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        let ratio = ratio.ok_or_else(|| "write a number from 0 to 1, such as 0.1 for one in ten".to_owned())?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to 1,000,000")]
        Ok(Self((ratio * 1_000_000.0).round() as u32))
    }
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "write true or false".to_owned())
    }
}

/// Parses a number directly followed by one of the units, or by a space and one.
fn with_unit(text: &str, units: &Units) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn in_largest_unit(number: u64, units: &Units) -> String {
    let largest = units.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match largest.or(units.last()) {
        Some((name, factor)) => format!("{}{name}", number / factor),
        None => number.to_string(),
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for ByteSize<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_largest_unit(self.0, SIZE_UNITS))
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for TimeSpan<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_largest_unit(self.0, TIME_UNITS))
    }
}
