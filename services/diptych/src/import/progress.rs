//! Progress of an import on standard error: a bar on a terminal, otherwise a line every few seconds.

use std::{
    cell::Cell,
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::counts::Counts;
use crate::client::table::{grouped, per_second};

const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows the number of rows answered.
#[derive(Debug)]
pub(crate) struct Progress {
    rows: u64,
    started_at: Instant,
    bar: Option<ProgressBar>,
    line_at: Cell<Instant>,
}

impl Progress {
    /// Progress of this many rows. Starts the clock.
    pub(crate) fn new(rows: u64) -> Self {
        let now = Instant::now();
        Self { rows, started_at: now, bar: io::stderr().is_terminal().then(|| bar(rows)), line_at: Cell::new(now) }
    }

    /// Shows the rows answered so far.
    pub(crate) fn show(&self, counts: &Counts) {
        let answered = counts.rows_answered();
        if let Some(bar) = &self.bar {
            bar.set_position(answered);
        } else if self.line_at.get().elapsed() >= LINE_INTERVAL {
            self.line_at.set(Instant::now());
            let rate = per_second(answered, self.started_at.elapsed().as_secs_f64());
            eprintln!("{} of {} rows, {} rows/s", grouped(answered), grouped(self.rows), grouped(rate));
        }
    }

    /// Prints a line without breaking the bar.
    pub(crate) fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Removes the bar; returns the time since the start.
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
