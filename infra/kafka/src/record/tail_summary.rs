//! Summary of the end of a partition, as its appender knows it; written into watermarks.

use std::fmt;

use diptych_kernel::Position;

/// The last event below an offset of a partition.
///
/// An idle partition gets a watermark a second, so its last event may be a million records back. Each watermark
/// therefore carries what its appender knew when it was sent, and a search for the last event reads only what was
/// written since: the watermark itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TailSummary {
    /// Records at or above this offset are not covered.
    pub(crate) end_exclusive: u64,
    /// Offset and position of the last event; `None` if there is no event.
    pub(crate) last_event: Option<(u64, Position)>,
}

impl TailSummary {
    /// Parses the output of `Display`: `end`, or `end:offset:position`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let end_exclusive = parts.next()?.parse().ok()?;
        let Some(offset) = parts.next() else {
            return Some(Self { end_exclusive, last_event: None });
        };
        let offset: u64 = offset.parse().ok()?;
        let position = Position::from_i64(parts.next()?.parse().ok()?).ok()?;
        (parts.next().is_none() && offset < end_exclusive)
            .then_some(Self { end_exclusive, last_event: Some((offset, position)) })
    }
}

impl fmt::Display for TailSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last_event {
            Some((offset, position)) => write!(f, "{}:{offset}:{position}", self.end_exclusive),
            None => self.end_exclusive.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reverses_display() {
        let position = Position::from_i64(77).unwrap();
        for tail in [
            TailSummary { end_exclusive: 0, last_event: None },
            TailSummary { end_exclusive: 9, last_event: Some((8, position)) },
        ] {
            assert_eq!(TailSummary::parse(&tail.to_string()), Some(tail));
        }
        for garbage in ["", "x", "9:8", "9:9:77", "9:8:-1", "9:8:77:1", "-1"] {
            assert_eq!(TailSummary::parse(garbage), None, "{garbage}");
        }
    }
}
