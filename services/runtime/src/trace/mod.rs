//! Traces: one command is one trace, from its caller to the rows and cached values that it changes.
//!
//! ```text
//!   caller or gateway --traceparent--> rpc --> INSERT events --row--> send --record--> process --> INSERT view, set
//!                                     server      client              producer        consumer        client
//! ```
//!
//! Each arrow is parent to child, so the span context of the step before travels with the event: in its row, then in its record. Work that is done
//! for many events at once has a span of its own per traced event, as long as all of it; what it is to the batch is said by links
//! between them and a root span of the batch.
//!
//! Spans are made with the macros of `tracing` and the target [`TARGET`], which exporters take and logs never do; this module has what those cannot
//! say. It alone, with [`crate::telemetry`], knows OpenTelemetry. Who works on many events asks [`is_on`] once, and makes spans
//! only where there is a [`TraceContext`]: what is not traced costs nothing.

mod context;
mod messaging;
mod systems;

use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use context::TraceContext;
pub(crate) use context::is_valid;
pub use messaging::{MessageOperation, message_span};
pub(crate) use systems::set_systems;
pub use systems::{Systems, systems};

/// The target of spans that are made for traces alone.
pub const TARGET: &str = "diptych_trace";

/// How many exporters work.
static EXPORTERS: AtomicUsize = AtomicUsize::new(0);

/// Whether traces are exported from this process. While they are not, no span is worth making.
#[must_use]
pub fn is_on() -> bool {
    EXPORTERS.load(Ordering::Relaxed) > 0
}

pub(crate) fn exporter_begins() {
    EXPORTERS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn exporter_ends() {
    EXPORTERS.fetch_sub(1, Ordering::Relaxed);
}

/// The span that the caller is in, where its trace is sampled.
#[must_use]
pub fn current() -> Option<Span> {
    is_on().then(Span::current).filter(|span| TraceContext::of(span).is_some())
}

/// Makes a span a child of something in another place. Call it first of all: the parent of a span that has begun stays what it is.
pub fn set_parent(span: &Span, parent: &TraceContext) {
    set_parent_context(span, parent.context());
}

/// Makes the span of a call a child of what the call's headers name, sampled or not; a root of its own where they name nothing valid.
pub(crate) fn set_caller(span: &Span, headers: &HeaderMap) {
    if let Some(caller) = context::of_headers(headers) {
        set_parent_context(span, Context::new().with_remote_span_context(caller));
    }
}

fn set_parent_context(span: &Span, context: Context) {
    if let Err(error) = span.set_parent(context) {
        // The span is a root then, or nobody takes it: no reason for anything else to fail.
        tracing::debug!(%error, "a span stays without its parent");
    }
}

/// Ties a span to another that is not its parent.
pub fn link(span: &Span, other: &TraceContext) {
    span.add_link(other.span_context());
}

/// Ties a span to its parent by a link as well: of a message the conventions want a link to where it was made, whoever the parent is. Some stores
/// of traces would then forget that it is the parent, were it not said here.
pub fn link_to_parent(span: &Span, parent: &TraceContext) {
    span.add_link_with_attributes(parent.span_context(), vec![KeyValue::new("opentracing.ref_type", "child_of")]);
}

/// What a span stands for has failed; `error_type` is one of few words, such as `conflict`.
pub fn fail(span: &Span, error_type: &'static str) {
    span.set_attribute("error.type", error_type);
    span.set_status(Status::error(""));
}

/// The size of a batch as traces have it: of one thing alone they say nothing.
#[must_use]
pub fn batch_size(things: usize) -> Option<i64> {
    (things > 1).then(|| count(things))
}

/// A number of things as an attribute.
#[must_use]
pub fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
}
