//! Trace spans of calls. The box office is not in the proto files of this build, so its methods have the name of
//! unknown methods.

use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use super::{super::Limits, TestServer};
use crate::{
    pause,
    telemetry::testing::{SpanRecorder, attribute, is_root},
};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// The only span, once it has ended: a call ends for its caller a moment before its span.
async fn only_span(recorder: &SpanRecorder) -> SpanData {
    loop {
        if let [span] = recorder.spans().as_slice() {
            return span.clone();
        }
        pause(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_call_is_a_child_of_its_caller() {
    let recorder = SpanRecorder::begin(0.0);
    let server = TestServer::start(Limits::default()).await;
    server.call_from(&[("traceparent", SAMPLED), ("tracestate", "vendor=1")]).await.unwrap();
    let span = only_span(&recorder).await;
    assert_eq!((span.name.as_ref(), span.span_kind.clone()), ("_OTHER", SpanKind::Server));
    assert_eq!(span.span_context.trace_id().to_string(), TRACE_ID);
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert!(span.parent_span_is_remote);
    assert_eq!(span.span_context.trace_state().header(), "vendor=1");
    let attributes = ["rpc.system.name", "rpc.method", "rpc.response.status_code"].map(|key| attribute(&span, key));
    assert_eq!(attributes.map(Option::unwrap), ["grpc", "_OTHER", "OK"]);
    assert_eq!(span.status, Status::Unset);
    let traceparent = server.box_office.last_traceparent().unwrap();
    assert_eq!(
        traceparent,
        format!("00-{TRACE_ID}-{}-01", span.span_context.span_id()),
        "events are children of the call"
    );
}

#[tokio::test]
async fn a_call_without_a_valid_caller_begins_a_trace() {
    for caller in [&[][..], &[("traceparent", "garbage"), ("tracestate", "vendor=1")]] {
        let recorder = SpanRecorder::begin(1.0);
        let server = TestServer::start(Limits::default()).await;
        server.call_from(caller).await.unwrap();
        let span = only_span(&recorder).await;
        assert!(is_root(&span) && span.span_context.trace_id().to_string() != TRACE_ID);
        assert_eq!(span.span_context.trace_state().header(), "");
    }
}

#[tokio::test]
async fn a_call_that_is_not_sampled_has_no_span_and_keeps_its_traceparent() {
    let recorder = SpanRecorder::begin(1.0);
    let server = TestServer::start(Limits::default()).await;
    server.call_from(&[("traceparent", NOT_SAMPLED)]).await.unwrap();
    assert_eq!(server.box_office.last_traceparent().as_deref(), Some(NOT_SAMPLED));
    // A second call, so that the first has ended.
    server.call("Reserve").await.unwrap();
    assert!(is_root(&only_span(&recorder).await));
}

#[tokio::test]
async fn without_an_exporter_the_callers_traceparent_is_kept() {
    let server = TestServer::start(Limits::default()).await;
    for caller in [SAMPLED, NOT_SAMPLED] {
        server.call_from(&[("traceparent", caller)]).await.unwrap();
        assert_eq!(server.box_office.last_traceparent().as_deref(), Some(caller));
    }
    server.call("Reserve").await.unwrap();
    assert_eq!(server.box_office.last_traceparent(), None);
}

#[tokio::test]
async fn the_span_of_a_failed_call_has_its_status() {
    let recorder = SpanRecorder::begin(1.0);
    let server = TestServer::start(Limits::default()).await;
    server.call_path("/theatre.v1.Opera/Sing", &[]).await.unwrap_err();
    let span = only_span(&recorder).await;
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("UNIMPLEMENTED"));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("UNIMPLEMENTED"));
    assert!(matches!(span.status, Status::Error { .. }));
}

#[tokio::test]
async fn an_error_of_the_caller_is_not_an_error_of_the_span() {
    let recorder = SpanRecorder::begin(1.0);
    let server = TestServer::start(Limits::default()).await;
    server.call_with("Reserve", &[0x0a, 9, b'x']).await.unwrap_err();
    let span = only_span(&recorder).await;
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("INVALID_ARGUMENT"));
    assert_eq!((attribute(&span, "error.type"), span.status), (None, Status::Unset));
}

#[tokio::test]
async fn the_span_of_an_abandoned_call_is_cancelled() {
    let recorder = SpanRecorder::begin(1.0);
    let server = TestServer::start(Limits::default()).await;
    server.begin("Wait").await.abort();
    let span = only_span(&recorder).await;
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("CANCELLED"));
}

#[tokio::test]
async fn health_and_reflection_are_not_traced() {
    let recorder = SpanRecorder::begin(1.0);
    let server = TestServer::start(Limits::default()).await;
    server.health("liveness").await.unwrap();
    server.services("grpc.reflection.v1.ServerReflection").await;
    server.call("Reserve").await.unwrap();
    assert_eq!(only_span(&recorder).await.name, "_OTHER");
}
