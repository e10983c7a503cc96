//! Traces: a collector of the test's own, and what must be true of every trace that it gets.

mod caller;
mod collector;
mod tree;

pub use caller::{Caller, with_headers};
pub use collector::{Collector, hex};
pub use tree::{Tree, attribute, is_linked};

use diptych_ledger::views::{ACCOUNTS, ENTRIES, TOTALS};

/// What every deposit leads to, below the span that hands the command over, as [`Tree::edges`] has it.
#[must_use]
pub fn below_deposit(command: &str) -> Vec<String> {
    let mut edges = vec![
        format!("{command} > INSERT events (client)"),
        "INSERT events > send events (producer)".to_owned(),
        "send events > process events (consumer)".to_owned(),
    ];
    for view in [ACCOUNTS, ENTRIES, TOTALS] {
        edges.push(format!("process events > INSERT {view} (client)"));
        edges.push("process events > set (client)".to_owned());
    }
    edges
}
