//! How far something has got, over all partitions and in each.

use diptych_kernel::{
    Partition, Position,
    ports::{LogEntry, RelayCursor},
};

/// How far reading, or publishing, has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    /// Every event up to here.
    pub(crate) up_to: Position,
    /// The last event of each partition, or [`Position::START`].
    pub(crate) last_positions: Vec<Position>,
}

impl Edge {
    /// The last event of a partition.
    pub(crate) fn last_of(&self, partition: Partition) -> Position {
        self.last_positions.get(partition.index()).copied().unwrap_or_default()
    }

    /// Goes past an event of a partition; `up_to` is moved by whoever knows that nothing lies between.
    pub(crate) fn pass(&mut self, partition: Partition, position: Position) {
        if let Some(last) = self.last_positions.get_mut(partition.index()) {
            *last = position.max(*last);
        }
    }

    /// Goes past every event among the entries, and up to a position.
    pub(crate) fn pass_all(&mut self, entries: &[LogEntry], up_to: Position) {
        for entry in entries {
            if let LogEntry::Event(event) = entry {
                self.pass(event.partition, event.position);
            }
        }
        self.up_to = up_to.max(self.up_to);
    }

    /// The cursor to store where `stored` is stored: it never goes back, in no partition. While a lost end of the log is brought back this
    /// edge is behind it, and whoever leads next must see the loss too.
    pub(crate) fn cursor_after(&self, stored: &RelayCursor) -> RelayCursor {
        let last_positions =
            self.last_positions.iter().zip(&stored.last_positions).map(|(own, stored)| *own.max(stored)).collect();
        RelayCursor { published_up_to: self.up_to.max(stored.published_up_to), last_positions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: i64) -> Position {
        Position::from_i64(number).unwrap()
    }

    #[test]
    fn a_cursor_never_goes_back_in_any_partition() {
        let stored = RelayCursor { published_up_to: at(9), last_positions: vec![at(9), at(4)] };
        let edge = Edge { up_to: at(5), last_positions: vec![at(3), at(5)] };
        let cursor = edge.cursor_after(&stored);
        assert_eq!(cursor, RelayCursor { published_up_to: at(9), last_positions: vec![at(9), at(5)] });
    }
}
