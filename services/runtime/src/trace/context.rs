//! W3C Trace Context, level 1: `traceparent` and `tracestate`.

use std::str::FromStr;

use diptych_kernel::EventMetadata;
use http::HeaderMap;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::export::is_on;

/// The length of a `traceparent` of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_BYTES: usize = 55;
/// The largest length of a `tracestate`. The standard requires at least 512 to be propagated.
const TRACESTATE_BYTES_MAX: usize = 512;

/// The context of a span of a sampled trace, local or remote: a parent or a link target of other spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// The context of a span of this process; `None` if its trace is not sampled.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context().span().span_context().clone();
        Self::if_sampled(context)
    }

    /// The context in the metadata of an event from another process. `None` if its trace is not sampled, or if no
    /// traces are exported.
    #[must_use]
    pub fn of_event(metadata: &EventMetadata) -> Option<Self> {
        Self::read(metadata, true)
    }

    /// The same for a command, whose context is of a span of this process.
    #[must_use]
    pub fn of_command(metadata: &EventMetadata) -> Option<Self> {
        Self::read(metadata, false)
    }

    fn read(metadata: &EventMetadata, is_remote: bool) -> Option<Self> {
        let traceparent = metadata.traceparent.as_deref().filter(|_| is_on())?;
        Self::if_sampled(parse(traceparent, is_remote, TraceState::NONE)?)
    }

    fn if_sampled(context: SpanContext) -> Option<Self> {
        (context.is_valid() && context.is_sampled()).then_some(Self(context))
    }

    /// The event metadata with this context.
    #[must_use]
    pub fn to_metadata(&self) -> EventMetadata {
        let (trace_id, span_id, flags) = (self.0.trace_id(), self.0.span_id(), self.0.trace_flags().to_u8());
        EventMetadata { traceparent: Some(format!("00-{trace_id}-{span_id}-{flags:02x}").into()) }
    }

    pub(super) fn span_context(&self) -> SpanContext {
        self.0.clone()
    }

    pub(super) fn context(&self) -> Context {
        Context::new().with_remote_span_context(self.0.clone())
    }
}

/// The context in the headers of a call, sampled or not.
pub(super) fn of_headers(headers: &HeaderMap) -> Option<SpanContext> {
    let traceparent = headers.get("traceparent")?.to_str().ok()?;
    parse(traceparent, true, tracestate(headers))
}

/// The `tracestate` of the headers, which is passed on unchanged. An invalid one is dropped, and the trace continues.
fn tracestate(headers: &HeaderMap) -> TraceState {
    let parts: Vec<&str> = headers.get_all("tracestate").iter().filter_map(|value| value.to_str().ok()).collect();
    let joined = parts.join(",");
    if joined.is_empty() || joined.len() > TRACESTATE_BYTES_MAX {
        return TraceState::NONE;
    }
    TraceState::from_str(&joined).unwrap_or_default()
}

fn parse(traceparent: &str, is_remote: bool, tracestate: TraceState) -> Option<SpanContext> {
    let [_, trace_id, span_id, flags] = fields(traceparent)?;
    Some(SpanContext::new(
        TraceId::from_hex(trace_id).ok()?,
        SpanId::from_hex(span_id).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        is_remote,
        tracestate,
    ))
}

/// Returns whether a `traceparent` is valid.
pub(crate) fn is_valid(traceparent: &str) -> bool {
    fields(traceparent).is_some()
}

/// Version, trace id, span id and flags of a valid `traceparent`.
fn fields(traceparent: &str) -> Option<[&str; 4]> {
    // A later version may add fields at the end. Until there is one, a longer value is invalid, and is not stored in
    // events.
    if traceparent.len() != TRACEPARENT_BYTES {
        return None;
    }
    let mut split = traceparent.split('-');
    let fields = [split.next()?, split.next()?, split.next()?, split.next()?];
    let [version, trace_id, span_id, flags] = fields;
    let is_valid = split.next().is_none()
        && is_hex(version, 2)
        && version != "ff"
        && is_hex(trace_id, 32)
        && !is_zero(trace_id)
        && is_hex(span_id, 16)
        && !is_zero(span_id)
        && is_hex(flags, 2);
    is_valid.then_some(fields)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_traceparent_is_written_as_it_was_read() {
        let context = parse(SAMPLED, true, TraceState::NONE).and_then(TraceContext::if_sampled).unwrap();
        assert_eq!(context.to_metadata().traceparent.as_deref(), Some(SAMPLED));
    }

    #[test]
    fn only_sampled_traces_have_a_context() {
        let context = parse(NOT_SAMPLED, true, TraceState::NONE).unwrap();
        assert!(context.is_valid() && context.is_remote());
        assert_eq!(TraceContext::if_sampled(context), None);
    }

    #[test]
    fn tracestate_is_carried_in_order() {
        let lines = [("traceparent", SAMPLED), ("tracestate", "a=1,b=2"), ("tracestate", "c=3")];
        assert_eq!(of_headers(&headers(&lines)).unwrap().trace_state().header(), "a=1,b=2,c=3");
    }

    #[test]
    fn an_invalid_tracestate_does_not_end_the_trace() {
        for bad in ["no pair", "A=1", &format!("a={}", "x".repeat(600))] {
            let context = of_headers(&headers(&[("traceparent", SAMPLED), ("tracestate", bad)])).unwrap();
            assert_eq!(context.trace_state(), &TraceState::NONE, "{bad}");
        }
    }

    #[test]
    fn headers_without_a_valid_traceparent_have_no_context() {
        assert_eq!(of_headers(&headers(&[])), None);
        assert_eq!(of_headers(&headers(&[("traceparent", "garbage"), ("tracestate", "a=1")])), None);
    }
}
