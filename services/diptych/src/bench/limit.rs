//! When a measurement ends, and when its next call is due.

use std::{cell::Cell, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::schedule::Schedule;

/// Hands out turns until a number of them or a moment is reached, and no more per second than asked for.
#[derive(Debug)]
pub(crate) struct Limit {
    turns_max: u64,
    ends_at: Option<Instant>,
    schedule: Option<Schedule>,
    turns: Cell<u64>,
}

/// Whether there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Yes; with its number from 0.
    Now(u64),
    /// Not before then.
    At(Instant),
    /// The measurement is over.
    Over,
}

impl Limit {
    /// Ends after so long, counted from now.
    pub(crate) fn time(duration: Duration) -> Self {
        Self { turns_max: u64::MAX, ends_at: Some(Instant::now() + duration), schedule: None, turns: Cell::new(0) }
    }

    /// Ends after so many turns.
    pub(crate) fn turns(turns_max: u64) -> Self {
        Self { turns_max, ends_at: None, schedule: None, turns: Cell::new(0) }
    }

    /// The same with at most so many turns per second, counted from now; as many as there can be without a number.
    pub(crate) fn paced(self, per_second: Option<u64>) -> Self {
        Self { schedule: per_second.map(Schedule::begin), ..self }
    }

    /// Takes a turn, if one is due.
    pub(crate) fn take(&self) -> Turn {
        let (turn, now) = (self.turns.get(), Instant::now());
        if turn >= self.turns_max || self.ends_at.is_some_and(|end| now >= end) {
            return Turn::Over;
        }
        if let Some(due_at) = self.schedule.map(|schedule| schedule.planned_at(turn)).filter(|due_at| *due_at > now) {
            return Turn::At(self.ends_at.map_or(due_at, |end| due_at.min(end)));
        }
        self.turns.set(turn + 1);
        Turn::Now(turn)
    }

    /// Waits for a turn: its number from 0, or `None` at the end.
    pub(crate) async fn next(&self) -> Option<u64> {
        loop {
            match self.take() {
                Turn::Now(turn) => return Some(turn),
                Turn::At(due_at) => sleep_until(due_at).await,
                Turn::Over => return None,
            }
        }
    }
}
