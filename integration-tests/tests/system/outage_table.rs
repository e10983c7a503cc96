//! Table of the pauses that callers had after each kill.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::traffic::{CallKind, CallLog};

/// The columns: [`CallKind::ALL`].
const NAMES: [&str; 3] = ["commands", "own writes", "queries"];

/// Pauses of callers, by killed process.
#[derive(Debug, Default)]
pub(crate) struct OutageTable {
    rows: Vec<OutageRow>,
}

#[derive(Debug)]
struct OutageRow {
    process: String,
    /// By round, then by kind.
    pauses: Vec<[Duration; NAMES.len()]>,
}

impl OutageTable {
    /// Adds the pauses of callers since a time: the longest time between two successes of one caller, by kind.
    pub(crate) fn record(&mut self, process: &str, call_log: &CallLog, from: Instant) {
        let pauses = CallKind::ALL.map(|kind| call_log.longest_pause(kind, from));
        match self.rows.iter_mut().find(|row| row.process == process) {
            Some(row) => row.pauses.push(pauses),
            None => self.rows.push(OutageRow { process: process.to_owned(), pauses: vec![pauses] }),
        }
    }

    /// Prints a line for each process, in seconds.
    pub(crate) fn print(&self) {
        let header: String = NAMES.iter().map(|name| format!("{name:>12} {:>8}", "max")).collect();
        println!("{:<14} {:>6}{header}", "killed", "rounds");
        for OutageRow { process, pauses } in &self.rows {
            let cells: String =
                (0..NAMES.len()).map(|kind| cells(pauses.iter().map(|pauses| pauses[kind]).collect())).collect();
            println!("{process:<14} {:>6}{cells}", pauses.len());
        }
    }
}

/// Formats median and maximum.
fn cells(mut pauses: Vec<Duration>) -> String {
    pauses.sort_unstable();
    let seconds = |pauses: Option<&Duration>| pauses.map_or(0.0, Duration::as_secs_f64);
    format!("{:>12.2} {:>8.2}", seconds(pauses.get(pauses.len() / 2)), seconds(pauses.last()))
}
