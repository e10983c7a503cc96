//! The W3C trace context, level 1: `traceparent` and `tracestate`.

use std::str::FromStr;

use diptych_kernel::EventMetadata;
use http::HeaderMap;
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::is_on;

/// How long the only version of `traceparent` that exists is: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACEPARENT_BYTES: usize = 55;
/// How long a `tracestate` may be. The standard asks for at least 512 to be taken.
const TRACESTATE_BYTES_MAX: usize = 512;

/// A span of a trace that is sampled, wherever it is: what others can be children of, or tied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// That of a span of this process; `None` where its trace is not sampled.
    #[must_use]
    pub fn of(span: &Span) -> Option<Self> {
        if span.is_disabled() {
            return None;
        }
        let context = span.context().span().span_context().clone();
        Self::if_sampled(context)
    }

    /// What an event that came from elsewhere brings along. `None` where its trace is not sampled, and while nothing is exported.
    #[must_use]
    pub fn of_event(metadata: &EventMetadata) -> Option<Self> {
        Self::read(metadata, true)
    }

    /// The same for a command, which a span of this process has handed over.
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

    /// What an event takes along from here.
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

/// What the headers of a call say, sampled or not.
pub(super) fn of_headers(headers: &HeaderMap) -> Option<SpanContext> {
    let traceparent = headers.get("traceparent")?.to_str().ok()?;
    parse(traceparent, true, tracestate(headers))
}

/// What other systems want to be carried along. What cannot be read is left out, and the trace goes on.
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

/// Whether a `traceparent` is one.
pub(crate) fn is_valid(traceparent: &str) -> bool {
    fields(traceparent).is_some()
}

/// Version, trace id, span id and flags of a valid `traceparent`.
fn fields(traceparent: &str) -> Option<[&str; 4]> {
    // A later version may add fields at its end. Until there is one, a longer value is a mistake, and is not stored for ever.
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
    fn what_is_read_is_written_the_same() {
        let context = parse(SAMPLED, true, TraceState::NONE).and_then(TraceContext::if_sampled).unwrap();
        assert_eq!(context.to_metadata().traceparent.as_deref(), Some(SAMPLED));
    }

    #[test]
    fn only_sampled_traces_are_worth_a_span() {
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
    fn a_tracestate_that_cannot_be_read_does_not_end_the_trace() {
        for bad in ["no pair", "A=1", &format!("a={}", "x".repeat(600))] {
            let context = of_headers(&headers(&[("traceparent", SAMPLED), ("tracestate", bad)])).unwrap();
            assert_eq!(context.trace_state(), &TraceState::NONE, "{bad}");
        }
    }

    #[test]
    fn headers_without_a_valid_traceparent_name_no_caller() {
        assert_eq!(of_headers(&headers(&[])), None);
        assert_eq!(of_headers(&headers(&[("traceparent", "garbage"), ("tracestate", "a=1")])), None);
    }
}
