//! Summary of the end of a partition, as its appender knows it; written into watermarks.

use std::fmt;

use diptych_kernel::{EventIdentity, Position, RequestId};

/// The last event below an offset of a partition.
///
/// An idle partition gets a watermark a second, so its last event may be a million records back. Each watermark
/// therefore carries what its appender knew when it was sent, and a search for the last event reads only what was
/// written since: the watermark itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TailSummary {
    /// Records at or above this offset are not covered.
    pub(crate) end_exclusive: u64,
    /// The last event and its offset; `None` if there is no event.
    pub(crate) last_event: Option<(u64, EventIdentity)>,
}

impl TailSummary {
    /// Parses the output of `Display`: `end`, or `end:offset:position:request`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let end_exclusive = parts.next()?.parse().ok()?;
        let Some(offset) = parts.next() else {
            return Some(Self { end_exclusive, last_event: None });
        };
        let offset: u64 = offset.parse().ok()?;
        let position = Position::from_i64(parts.next()?.parse().ok()?).ok()?;
        let request_id = RequestId::parse(parts.next()?).ok()?;
        (parts.next().is_none() && offset < end_exclusive)
            .then_some(Self { end_exclusive, last_event: Some((offset, EventIdentity { position, request_id })) })
    }
}

impl fmt::Display for TailSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last_event {
            Some((offset, event)) => {
                write!(f, "{}:{offset}:{}:{}", self.end_exclusive, event.position, event.request_id)
            }
            None => self.end_exclusive.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reverses_display() {
        let request_id = RequestId::from_bytes([7; 16]);
        let event = EventIdentity { position: Position::from_i64(77).unwrap(), request_id };
        for tail in [
            TailSummary { end_exclusive: 0, last_event: None },
            TailSummary { end_exclusive: 9, last_event: Some((8, event)) },
        ] {
            assert_eq!(TailSummary::parse(&tail.to_string()), Some(tail));
        }
        for garbage in ["", "x", "9:8", "9:8:77", &format!("9:9:77:{request_id}"), "9:8:-1", "9:8:77:1", "-1"] {
            assert_eq!(TailSummary::parse(garbage), None, "{garbage}");
        }
    }
}
