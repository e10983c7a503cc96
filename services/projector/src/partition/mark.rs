//! Progress marks.

use diptych_kernel::{
    Position, Timestamp,
    ports::{Offset, Progress},
};

/// Progress without the parked streams. It only ever advances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgressMark {
    pub(crate) position: Position,
    pub(crate) as_of: Timestamp,
    pub(crate) next_offset: Offset,
}

impl ProgressMark {
    pub(crate) fn of(progress: &Progress) -> Self {
        Self { position: progress.position, as_of: progress.as_of, next_offset: progress.next_offset }
    }

    pub(crate) fn advance(&mut self, position: Position, as_of: Timestamp) {
        self.position = self.position.max(position);
        self.as_of = self.as_of.max(as_of);
    }

    pub(crate) fn advance_offset(&mut self, next_offset: Offset) {
        self.next_offset = self.next_offset.max(next_offset);
    }

    pub(crate) fn advance_to(&mut self, other: Self) {
        self.advance(other.position, other.as_of);
        self.advance_offset(other.next_offset);
    }
}
