//! Batch of records that is appended to the log at once.

use diptych_kernel::{Position, ports::LogEntry};

use crate::{metrics::OldestUnpublished, trace::BatchSpans};

/// Records to append to the log at once.
#[derive(Debug)]
pub(crate) struct RelayBatch {
    /// Events, then watermarks.
    pub(crate) entries: Vec<LogEntry>,
    /// Number of events among the entries.
    pub(crate) event_count: usize,
    /// The write database has been read up to here; every event up to here is on the log once this batch is.
    pub(crate) up_to: Position,
    /// True if the read reached its limit, so that the next read should follow at once.
    pub(crate) has_more: bool,
    pub(crate) oldest: OldestUnpublished,
    /// Started when the batch is published for the first time.
    spans: Option<BatchSpans>,
}

impl RelayBatch {
    pub(crate) fn new(
        entries: Vec<LogEntry>,
        event_count: usize,
        up_to: Position,
        has_more: bool,
        oldest: OldestUnpublished,
    ) -> Self {
        Self { entries, event_count, up_to, has_more, oldest, spans: None }
    }

    /// Starts the spans of the batch before its first attempt to publish; later attempts keep them.
    pub(crate) fn start_spans(&mut self) {
        self.spans.get_or_insert_with(|| BatchSpans::start(&mut self.entries));
    }

    /// Marks the spans as failed: the batch is discarded, and its events are read again, by this relay or another.
    pub(crate) fn mark_failed(&self, error_type: &'static str) {
        if let Some(spans) = &self.spans {
            spans.fail(error_type);
        }
    }
}
