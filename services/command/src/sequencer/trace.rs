//! Trace spans of an append.

use diptych_kernel::ports::AppendUnit;
use diptych_runtime::trace::{self, TARGET, TraceContext, systems};
use tracing::{Span, info_span};

/// One span for each traced command of an append, from the first attempt of the append to its result. Empty, and
/// without cost, if no command is traced.
#[must_use]
pub(super) struct AppendSpans(Vec<Span>);

impl AppendSpans {
    /// Begins the spans, and makes them the trace context of the events of their commands.
    pub(super) fn begin(units: &mut [AppendUnit]) -> Self {
        let mut spans = Self(Vec::new());
        if !trace::is_on() {
            return spans;
        }
        let events = units.iter().map(|unit| unit.events.len()).sum();
        for unit in units {
            let Some(command) = TraceContext::of_command(&unit.metadata) else { continue };
            let span = info_span!(
                target: TARGET,
                parent: None,
                "append",
                otel.name = "INSERT events",
                otel.kind = "client",
                db.system.name = systems().events,
                db.operation.name = "INSERT",
                db.collection.name = "events",
                db.operation.batch.size = trace::batch_size(events),
            );
            trace::set_parent(&span, &command);
            if let Some(own) = TraceContext::of(&span) {
                unit.metadata = own.to_metadata();
                spans.0.push(span);
            }
        }
        spans
    }

    /// Marks the spans as failed: the append is not stored, or its outcome is unknown.
    pub(super) fn fail(&self, error_type: &'static str) {
        for span in &self.0 {
            trace::fail(span, error_type);
        }
    }
}
