//! How long callers felt that a part was killed.

use std::time::Duration;

use tokio::time::Instant;

use crate::traffic::{Journal, Kind};

/// The columns: [`Kind::ALL`].
const NAMES: [&str; 3] = ["commands", "own writes", "queries"];

/// What was felt, by part.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    part: String,
    /// By round, then by kind.
    felt: Vec<[Duration; NAMES.len()]>,
}

impl Outages {
    /// Notes what callers felt from a time until now: the longest time between two successes of any of them, by kind.
    pub(crate) fn note(&mut self, part: &str, journal: &Journal, from: Instant) {
        let felt = Kind::ALL.map(|kind| journal.longest_gap(kind, from));
        match self.rows.iter_mut().find(|row| row.part == part) {
            Some(row) => row.felt.push(felt),
            None => self.rows.push(Row { part: part.to_owned(), felt: vec![felt] }),
        }
    }

    /// A line for each part, in seconds.
    pub(crate) fn print(&self) {
        let header: String = NAMES.iter().map(|name| format!("{name:>12} {:>8}", "max")).collect();
        println!("{:<14} {:>6}{header}", "killed", "rounds");
        for Row { part, felt } in &self.rows {
            let cells: String =
                (0..NAMES.len()).map(|kind| cells(felt.iter().map(|felt| felt[kind]).collect())).collect();
            println!("{part:<14} {:>6}{cells}", felt.len());
        }
    }
}

/// Median and maximum.
fn cells(mut felt: Vec<Duration>) -> String {
    felt.sort_unstable();
    let seconds = |felt: Option<&Duration>| felt.map_or(0.0, Duration::as_secs_f64);
    format!("{:>12.2} {:>8.2}", seconds(felt.get(felt.len() / 2)), seconds(felt.last()))
}
