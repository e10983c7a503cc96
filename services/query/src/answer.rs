//! Query answers and their freshness.

use bytes::Bytes;
use diptych_kernel::{Partition, Position, Timestamp, Token};

use crate::progress_tracker::ProgressSnapshot;

/// A query result with its freshness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The result.
    pub value: T,
    /// Its freshness.
    pub read_at: ReadAt,
}

/// Freshness of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadAt {
    /// Consistency token. A later query with this token gets an answer at least as fresh as this one, row by row.
    /// Omits partitions in which parked streams make a list or a sum incomplete.
    pub token: Token,
    /// The answer contains every relevant event that the write database had recorded by this time, by that database's
    /// clock. `None` before the first progress, and while a parked stream makes a list or a sum incomplete.
    pub complete_up_to: Option<Timestamp>,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Sort keys and encoded messages, ascending by sort key.
    pub rows: Vec<(Bytes, Bytes)>,
    /// True if more rows follow the last one.
    pub more: bool,
}

/// Combines the freshness of the parts of an answer: the answer is complete up to the time of the least fresh part.
#[derive(Debug, Default)]
pub(crate) struct ReadAtBuilder {
    token: Token,
    complete_up_to: Option<Timestamp>,
    has_unknown: bool,
}

impl ReadAtBuilder {
    /// Adds a part with this freshness.
    pub(crate) fn add(&mut self, partition: Partition, position: Position, time: Option<Timestamp>) {
        if position > Position::START {
            self.token.raise(partition, position);
        }
        match time {
            Some(time) => self.complete_up_to = Some(self.complete_up_to.map_or(time, |least| least.min(time))),
            None => self.has_unknown = true,
        }
    }

    /// Adds a part of unknown freshness.
    pub(crate) fn add_unknown(&mut self) {
        self.has_unknown = true;
    }

    /// Adds everything that a view has in a partition.
    pub(crate) fn add_partition(&mut self, snapshot: &ProgressSnapshot, view_index: usize, partition: Partition) {
        match snapshot.progress(view_index, partition) {
            Some(progress) if progress.is_complete_for(None) => {
                self.add(partition, progress.position, progress.as_of);
            }
            _ => self.add_unknown(),
        }
    }

    pub(crate) fn build(self) -> ReadAt {
        ReadAt { token: self.token, complete_up_to: if self.has_unknown { None } else { self.complete_up_to } }
    }
}
