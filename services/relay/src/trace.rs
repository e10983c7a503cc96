//! Spans of a batch.

use diptych_kernel::ports::LogEntry;
use diptych_runtime::trace::{self, MessageOperation, TARGET, TraceContext, message_span, systems};
use tracing::{Span, info_span};

/// Spans of a batch: one for each traced event, a child of the span context in its row, and one for the batch, linked
/// to all of them. Empty, at no cost, if no event is traced.
///
/// They last until the log has acknowledged the batch, failed attempts included.
#[derive(Debug)]
pub(crate) struct BatchSpans(Vec<Span>);

impl BatchSpans {
    /// Starts the spans, and makes the records of traced events carry the context of their own span.
    pub(crate) fn start(entries: &mut [LogEntry]) -> Self {
        let mut spans = Self(Vec::new());
        if !trace::is_on() {
            return spans;
        }
        let messages = entries.len();
        let mut batch = None;
        for entry in entries {
            let LogEntry::Event(event) = entry else { continue };
            let Some(row_context) = TraceContext::of_event(&event.metadata) else { continue };
            let batch = batch.get_or_insert_with(|| batch_span(messages));
            let send = message_span(event, MessageOperation::Send);
            trace::set_parent(&send, &row_context);
            if let Some(batch) = TraceContext::of(batch) {
                trace::link(&send, &batch);
            }
            if let Some(own) = TraceContext::of(&send) {
                trace::link(batch, &own);
                event.metadata = own.to_metadata();
                spans.0.push(send);
            }
        }
        spans.0.extend(batch);
        spans
    }

    /// Marks the spans as failed: the batch was not acknowledged and is not retried.
    pub(crate) fn fail(&self, error_type: &'static str) {
        for span in &self.0 {
            trace::fail(span, error_type);
        }
    }
}

fn batch_span(messages: usize) -> Span {
    let systems = systems();
    info_span!(
        target: TARGET,
        parent: None,
        "relay batch",
        otel.kind = "internal",
        messaging.system = systems.log,
        messaging.destination.name = &*systems.topic,
        messaging.batch.message_count = trace::count(messages),
    )
}
