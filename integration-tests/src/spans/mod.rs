//! Traces: callers that begin them, and checks of every trace that an [OTLP receiver](diptych_runtime::testing::OtlpReceiver) has received.

mod caller;
mod tree;

pub use caller::{Caller, with_headers};
pub use tree::{Tree, attribute, is_linked};

use diptych_ledger::views::{ACCOUNTS, ENTRIES, TOTALS};

/// What every deposit leads to, below the span that hands the command over, as [`Tree::edges`] has it, by way of a topic.
#[must_use]
pub fn below_deposit(command: &str, topic: &str) -> Vec<String> {
    let mut edges = vec![
        format!("{command} > INSERT events (client)"),
        format!("INSERT events > send {topic} (producer)"),
        format!("send {topic} > process {topic} (consumer)"),
    ];
    edges.extend([ACCOUNTS, ENTRIES, TOTALS].map(|view| format!("process {topic} > INSERT {view} (client)")));
    // Entries are scanned, so they are not cached.
    edges.extend([ACCOUNTS, TOTALS].map(|_| format!("process {topic} > set (client)")));
    edges
}
