//! Timestamps in RFC 3339, as CloudEvents requires, to the microsecond.

use diptych_kernel::Timestamp;

/// Formats a time. `None` for times outside the years -9999 to 9999.
pub(super) fn format(time: Timestamp) -> Option<String> {
    Some(format!("{:.6}", jiff::Timestamp::from_microsecond(time.as_micros()).ok()?))
}

pub(super) fn is_in_range(time: Timestamp) -> bool {
    jiff::Timestamp::from_microsecond(time.as_micros()).is_ok()
}

pub(super) fn parse(text: &str) -> Option<Timestamp> {
    Some(Timestamp::from_micros(text.parse::<jiff::Timestamp>().ok()?.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reverses_format() {
        for micros in [0, 1, -1, 1_000_000, 1_764_151_445_123_456] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(parse(&format(time).unwrap()), Some(time));
        }
        assert_eq!(format(Timestamp::from_micros(1_764_151_445_000_000)).unwrap(), "2025-11-26T10:04:05.000000Z");
        assert_eq!(format(Timestamp::from_micros(i64::MAX)), None);
        assert_eq!(parse("yesterday"), None);
    }
}
