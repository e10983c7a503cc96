//! What is answered, and how fresh it is.

use bytes::Bytes;
use diptych_kernel::{Partition, Position, Timestamp, Token};

use crate::board::Snapshot;

/// What was asked for, and how fresh it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// How fresh it is.
    pub read_at: ReadAt,
}

/// How fresh an answer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadAt {
    /// Sent with a later query, it makes that answer at least as fresh as this one, row by row. Leaves out partitions in which parked
    /// streams keep a list or a sum from being whole.
    pub token: Token,
    /// Everything that the write database had recorded by this time, by its own clock, and that concerns the answer is in it. `None` before the
    /// first progress, and while a parked stream keeps a list or a sum from being whole.
    pub complete_up_to: Option<Timestamp>,
}

/// A piece of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Sort keys and encoded messages, ascending by sort key.
    pub rows: Vec<(Bytes, Bytes)>,
    /// Whether there is more after the last of them.
    pub more: bool,
}

/// Gathers how fresh the parts of an answer are: the answer is complete up to the time of the least fresh part.
#[derive(Debug, Default)]
pub(crate) struct ReadAtBuilder {
    token: Token,
    complete_up_to: Option<Timestamp>,
    unknown: bool,
}

impl ReadAtBuilder {
    /// Adds a part that is as fresh as this.
    pub(crate) fn add(&mut self, partition: Partition, position: Position, time: Option<Timestamp>) {
        if position > Position::START {
            self.token.raise(partition, position);
        }
        match time {
            Some(time) => self.complete_up_to = Some(self.complete_up_to.map_or(time, |least| least.min(time))),
            None => self.unknown = true,
        }
    }

    /// Adds a part of which nobody can say how fresh it is.
    pub(crate) fn add_unknown(&mut self) {
        self.unknown = true;
    }

    /// Adds everything that a view has in a partition.
    pub(crate) fn add_partition(&mut self, snapshot: &Snapshot, view: usize, partition: Partition) {
        match snapshot.slot(view, partition) {
            Some(slot) if slot.is_whole(None) => self.add(partition, slot.position, slot.as_of),
            _ => self.add_unknown(),
        }
    }

    pub(crate) fn build(self) -> ReadAt {
        ReadAt { token: self.token, complete_up_to: if self.unknown { None } else { self.complete_up_to } }
    }
}
