//! Trace spans and their context: one command is one trace, from its caller to the rows and cached values that it
//! changes.
//!
//! ```text
//!   caller or gateway --traceparent--> rpc --> INSERT events --row--> send --record--> process --> INSERT view, set
//!                                     server      client              producer        consumer        client
//! ```
//!
//! Each arrow is parent to child, so the span context of the previous step is stored with the event: in its row, then
//! in its record. Work on many events at once has one span per traced event, each as long as the whole work; links tie
//! these to a root span of the batch.
//!
//! Spans are made with the macros of `tracing` and the target [`TARGET`], which is exported and never logged; this
//! module adds what the macros cannot express. Only it and [`crate::telemetry`] depend on OpenTelemetry. Code that
//! handles many events checks [`is_on`] once, and makes spans only where there is a [`TraceContext`], so events that
//! are not traced cost nothing.

mod context;
mod export;
mod messaging;
mod systems;

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use context::TraceContext;
pub(crate) use context::is_valid;
pub use export::{TARGET, is_on};
pub(crate) use export::{exporter_begins, exporter_ends};
pub use messaging::{MessageOperation, message_span};
pub(crate) use systems::set_systems;
pub use systems::{Systems, systems};

/// The current span, if its trace is sampled.
#[must_use]
pub fn current() -> Option<Span> {
    is_on().then(Span::current).filter(|span| TraceContext::of(span).is_some())
}

/// Makes a span a child of a remote span. Call it right after making the span: the parent of a span that has been
/// entered cannot be changed.
pub fn set_parent(span: &Span, parent: &TraceContext) {
    set_parent_context(span, parent.context());
}

/// Makes the span of a call a child of the span in the call's headers, sampled or not; a root if they contain no valid
/// one.
pub(crate) fn set_caller(span: &Span, headers: &HeaderMap) {
    if let Some(caller) = context::of_headers(headers) {
        set_parent_context(span, Context::new().with_remote_span_context(caller));
    }
}

fn set_parent_context(span: &Span, context: Context) {
    if let Err(error) = span.set_parent(context) {
        // The span is a root then, or not exported: no reason to fail.
        tracing::debug!(%error, "the parent of a span cannot be set");
    }
}

/// Links a span to another that is not its parent.
pub fn link(span: &Span, other: &TraceContext) {
    span.add_link(other.span_context());
}

/// Links a span to its parent: the semantic conventions require a link from the processing of a message to its
/// producer, also if that is the parent. The attribute keeps trace stores such as Jaeger from treating the link as
/// another kind of reference.
pub fn link_to_parent(span: &Span, parent: &TraceContext) {
    span.add_link_with_attributes(parent.span_context(), vec![KeyValue::new("opentracing.ref_type", "child_of")]);
}

/// Marks a span as failed; `error_type` is one of few values, such as `conflict`.
pub fn fail(span: &Span, error_type: &'static str) {
    span.set_attribute("error.type", error_type);
    span.set_status(Status::error(""));
}

/// The attribute `batch.size`: `None` for one item, by the semantic conventions.
#[must_use]
pub fn batch_size(items: usize) -> Option<i64> {
    (items > 1).then(|| count(items))
}

/// A count as an attribute.
#[must_use]
pub fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
