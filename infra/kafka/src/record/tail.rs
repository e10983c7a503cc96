//! What an appender knows of the end of a partition, written into watermarks.

use std::fmt;

use diptych_kernel::Position;

/// Below an offset, this is the last event.
///
/// A partition that is idle gets a watermark a second, so its last event may lie a million records back. Each watermark therefore carries
/// what its appender knew when it was sent. Whoever looks for the last event reads only what came since: the watermark itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Exclusive: what stands at or above this offset is not covered.
    pub(crate) below: u64,
    /// Where the last event stands, and its position; none where there is no event.
    pub(crate) last_event: Option<(u64, Position)>,
}

impl Tail {
    /// Reads what `Display` writes: `below`, or `below:offset:position`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let below = parts.next()?.parse().ok()?;
        let Some(offset) = parts.next() else { return Some(Self { below, last_event: None }) };
        let offset: u64 = offset.parse().ok()?;
        let position = Position::from_i64(parts.next()?.parse().ok()?).ok()?;
        (parts.next().is_none() && offset < below).then_some(Self { below, last_event: Some((offset, position)) })
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last_event {
            Some((offset, position)) => write!(f, "{}:{offset}:{position}", self.below),
            None => self.below.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_survives_its_text() {
        let position = Position::from_i64(77).unwrap();
        for tail in [Tail { below: 0, last_event: None }, Tail { below: 9, last_event: Some((8, position)) }] {
            assert_eq!(Tail::parse(&tail.to_string()), Some(tail));
        }
        for garbage in ["", "x", "9:8", "9:9:77", "9:8:-1", "9:8:77:1", "-1"] {
            assert_eq!(Tail::parse(garbage), None, "{garbage}");
        }
    }
}
