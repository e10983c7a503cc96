//! Telling how far the import is: a bar on a terminal, a line now and then elsewhere. On standard error.

use std::{
    cell::Cell,
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::tally::Tally;
use crate::client::table::{grouped, per_second};

const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how many rows are answered.
#[derive(Debug)]
pub(crate) struct Progress {
    rows: u64,
    started_at: Instant,
    bar: Option<ProgressBar>,
    line_at: Cell<Instant>,
}

impl Progress {
    /// For so many rows. Starts now.
    pub(crate) fn new(rows: u64) -> Self {
        let now = Instant::now();
        Self { rows, started_at: now, bar: io::stderr().is_terminal().then(|| bar(rows)), line_at: Cell::new(now) }
    }

    /// Shows where the tally stands.
    pub(crate) fn show(&self, tally: &Tally) {
        let answered = tally.rows_done() + tally.rows_refused_count();
        if let Some(bar) = &self.bar {
            bar.set_position(answered);
        } else if self.line_at.get().elapsed() >= LINE_EVERY {
            self.line_at.set(Instant::now());
            let rate = per_second(answered, self.started_at.elapsed().as_secs_f64());
            eprintln!("{} of {} rows, {} rows/s", grouped(answered), grouped(self.rows), grouped(rate));
        }
    }

    /// Says something between two states.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Takes the bar away, and tells how long it took.
    pub(crate) fn finish(&self) -> Duration {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.started_at.elapsed()
    }
}

fn bar(rows: u64) -> ProgressBar {
    let bar = ProgressBar::new(rows);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} rows, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
