//! High-water mark: a position in the event order, in total and per partition.

use diptych_kernel::{
    Partition, Position,
    ports::{LogEntry, RelayCursor},
};

/// Position that reading, or publishing, has reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HighWatermark {
    /// Every event up to this position, inclusive, has been passed.
    pub(crate) up_to: Position,
    /// Position of the last event of each partition, or [`Position::START`].
    pub(crate) last_positions: Vec<Position>,
}

impl HighWatermark {
    /// Returns the position of the last event of a partition.
    pub(crate) fn last_position(&self, partition: Partition) -> Position {
        self.last_positions.get(partition.index()).copied().unwrap_or_default()
    }

    /// Advances a partition to an event. The caller advances `up_to` once no event lies between.
    pub(crate) fn advance_partition(&mut self, partition: Partition, position: Position) {
        if let Some(last) = self.last_positions.get_mut(partition.index()) {
            *last = position.max(*last);
        }
    }

    /// Advances past every event among the entries, and up to a position.
    pub(crate) fn advance(&mut self, entries: &[LogEntry], up_to: Position) {
        for entry in entries {
            if let LogEntry::Event(event) = entry {
                self.advance_partition(event.partition, event.position);
            }
        }
        self.up_to = up_to.max(self.up_to);
    }

    /// Returns the cursor to store after `stored`. No position ever decreases: while a lost end of the log is published
    /// again this mark is behind the stored cursor, and the next leader must detect the loss too.
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
        let published = HighWatermark { up_to: at(5), last_positions: vec![at(3), at(5)] };
        let cursor = published.cursor_after(&stored);
        assert_eq!(cursor, RelayCursor { published_up_to: at(9), last_positions: vec![at(9), at(5)] });
    }
}
