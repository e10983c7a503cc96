//! Traces: callers that begin them, and checks of every trace that an [OTLP receiver] has received.
//!
//! [OTLP receiver]: diptych_runtime::testing::OtlpReceiver

mod caller;
mod span_tree;

pub use caller::{Caller, with_headers};
pub use span_tree::{SpanTree, attribute, is_linked};

use diptych_ledger::views::{ACCOUNTS, ENTRIES, TOTALS};

/// The edges below the span of a deposit, in the format of [`SpanTree::edges`], through a topic.
#[must_use]
pub fn below_deposit(command: &str, topic: &str) -> Vec<String> {
    let mut edges = vec![
        format!("{command} > INSERT events (client)"),
        format!("INSERT events > send {topic} (producer)"),
        format!("send {topic} > process {topic} (consumer)"),
    ];
    edges.extend([ACCOUNTS, ENTRIES, TOTALS].map(|view| format!("process {topic} > INSERT {view} (client)")));
    // Entries are read by scans, so they are not cached.
    edges.extend([ACCOUNTS, TOTALS].map(|_| format!("process {topic} > set (client)")));
    edges
}
