//! When a measurement ends.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// Hands out turns until a number of them or a moment is reached.
#[derive(Debug)]
pub(crate) struct Limit {
    turns_max: u64,
    ends_at: Option<Instant>,
    turns: Cell<u64>,
}

impl Limit {
    /// Ends after so long, counted from now.
    pub(crate) fn time(duration: Duration) -> Self {
        Self { turns_max: u64::MAX, ends_at: Some(Instant::now() + duration), turns: Cell::new(0) }
    }

    /// Ends after so many turns.
    pub(crate) fn turns(turns_max: u64) -> Self {
        Self { turns_max, ends_at: None, turns: Cell::new(0) }
    }

    /// Takes a turn: its number from 0, or `None` at the end.
    pub(crate) fn take(&self) -> Option<u64> {
        let turn = self.turns.get();
        if turn >= self.turns_max || self.ends_at.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        self.turns.set(turn + 1);
        Some(turn)
    }
}
