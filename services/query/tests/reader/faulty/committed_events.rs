//! Committed events of the test, against which answers are checked.

use diptych_kernel::{Partition, StreamId, Token};

use crate::harness::{partitions, position, seat};

/// Two streams in each of two partitions.
pub(crate) fn streams() -> [StreamId; 4] {
    [seat(0, 0), seat(0, 1), seat(1, 0), seat(1, 1)]
}

pub(crate) fn partition_of(stream: &StreamId) -> Partition {
    partitions().of(stream)
}

#[derive(Default)]
pub(crate) struct CommittedEvents {
    /// Ordered by position.
    events: Vec<(i64, StreamId)>,
}

impl CommittedEvents {
    pub(crate) fn commit(&mut self, stream: &StreamId, distance: i64) -> i64 {
        let at = self.last() + distance;
        self.events.push((at, stream.clone()));
        at
    }

    /// Returns the last position.
    pub(crate) fn last(&self) -> i64 {
        self.events.last().map_or(0, |(at, _)| *at)
    }

    /// Returns the events of a stream up to a position.
    pub(crate) fn events_of(&self, stream: &StreamId, up_to: i64) -> Vec<i64> {
        let events = self.events.iter().filter(|(at, event_stream)| *at <= up_to && event_stream == stream);
        events.map(|(at, _)| *at).collect()
    }

    /// Returns the last event of a stream up to a position, 0 if there is none.
    pub(crate) fn last_of(&self, stream: &StreamId, up_to: i64) -> i64 {
        self.events_of(stream, up_to).last().copied().unwrap_or(0)
    }

    /// Returns the number of events of a partition up to a position.
    pub(crate) fn count(&self, partition: Partition, up_to: i64) -> usize {
        self.events.iter().filter(|(at, stream)| *at <= up_to && partition_of(stream) == partition).count()
    }

    /// Returns the token of all committed events.
    pub(crate) fn token(&self) -> Token {
        self.events.iter().map(|(at, stream)| (partition_of(stream), position(*at))).collect()
    }
}
