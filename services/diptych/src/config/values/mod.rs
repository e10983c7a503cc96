//! Values as people write them: counts, sizes, durations, addresses. Each knows what it allows, and says so when it is given
//! something else.

mod serde_forms;
#[cfg(test)]
mod tests;
mod texts;

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use crate::client::table::grouped;
use diptych_embedded::Storage;

pub(super) use texts::as_far_as_may_be_shown;
pub(crate) use texts::{Instance, List, PostgresUrl, Properties, Secret, Share, Switch};

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count<const MIN: u64, const MAX: u64>(u64);

/// A size in bytes, from `MIN` to `MAX`: "512B", "64KiB", "16MiB", "1GiB".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(u64);

/// A duration from `MIN` to `MAX` milliseconds: "250ms", "5s", "10m", "1h", "30d".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span<const MIN: u64, const MAX: u64>(u64);

/// An address to listen on: "127.0.0.1:7400".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

/// Where data is kept: "memory", or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Storage);

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const SPANS_MS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    /// The number, or the end of the range that is nearest: for the defaults that the parts of the product bring along.
    pub(crate) fn near(number: usize) -> Self {
        Self(u64::try_from(number).unwrap_or(u64::MAX).clamp(MIN, MAX))
    }

    pub(crate) fn usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    pub(crate) fn u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    pub(crate) fn u16(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }

    pub(crate) fn u8(self) -> u8 {
        u8::try_from(self.0).unwrap_or(u8::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    /// As [`Count::near`].
    pub(crate) fn near(bytes: usize) -> Self {
        Self(u64::try_from(bytes).unwrap_or(u64::MAX).clamp(MIN, MAX))
    }

    pub(crate) fn bytes(self) -> u64 {
        self.0
    }

    pub(crate) fn usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Span<MIN, MAX> {
    /// As [`Count::near`], in whole milliseconds.
    pub(crate) fn near(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(MIN, MAX))
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Count<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace('_', "");
        let number = digits.parse().ok().filter(|number| (MIN..=MAX).contains(number));
        number.map(Self).ok_or_else(|| format!("write a whole number from {} to {}", grouped(MIN), grouped(MAX)))
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Size<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = with_unit(text, &SIZES).filter(|bytes| (MIN..=MAX).contains(bytes));
        bytes.map(Self).ok_or_else(|| {
            let (min, max) = (in_largest_unit(MIN, &SIZES), in_largest_unit(MAX, &SIZES));
            format!("write a size from {min} to {max}, with a unit (B, KiB, MiB, GiB)")
        })
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Span<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = with_unit(text, &SPANS_MS).filter(|span| (MIN..=MAX).contains(span));
        span.map(Self).ok_or_else(|| {
            let (min, max) = (in_largest_unit(MIN, &SPANS_MS), in_largest_unit(MAX, &SPANS_MS));
            format!("write a duration from {min} to {max}, with a unit (ms, s, m, h, d)")
        })
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse().map(Self);
        address
            .map_err(|_| "write an IP address and a port, such as 127.0.0.1:7400, or 0.0.0.0:7400 for all".to_owned())
    }
}

impl FromStr for Data {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("write memory, or the path of a folder".to_owned()),
            "memory" => Ok(Self(Storage::Memory)),
            path => Ok(Self(Storage::Directory(PathBuf::from(path)))),
        }
    }
}

/// A number directly followed by one of the units, or by a space and one.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

fn in_largest_unit(number: u64, units: &[(&str, u64)]) -> String {
    let largest = units.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor));
    match largest.or(units.last()) {
        Some((name, factor)) => format!("{}{name}", number / factor),
        None => number.to_string(),
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Size<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_largest_unit(self.0, &SIZES))
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Span<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_largest_unit(self.0, &SPANS_MS))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
