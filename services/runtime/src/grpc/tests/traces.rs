//! The spans of calls. The theatre is not in the proto files of this build, so its methods go by the name of those nobody knows.

use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use super::{super::Limits, Running};
use crate::{
    pause,
    telemetry::testing::{Recording, attribute, is_root},
};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// The only span, once it is there: a call ends for its caller a moment before it does here.
async fn only_span(recording: &Recording) -> SpanData {
    loop {
        if let [span] = recording.spans().as_slice() {
            return span.clone();
        }
        pause(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_call_is_a_child_of_its_caller() {
    let recording = Recording::begin(0.0);
    let running = Running::start(Limits::default()).await;
    running.call_from(&[("traceparent", SAMPLED), ("tracestate", "vendor=1")]).await.unwrap();
    let span = only_span(&recording).await;
    assert_eq!((span.name.as_ref(), span.span_kind.clone()), ("_OTHER", SpanKind::Server));
    assert_eq!(span.span_context.trace_id().to_string(), TRACE_ID);
    assert_eq!(span.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert!(span.parent_span_is_remote);
    assert_eq!(span.span_context.trace_state().header(), "vendor=1");
    let attributes = ["rpc.system.name", "rpc.method", "rpc.response.status_code"].map(|key| attribute(&span, key));
    assert_eq!(attributes.map(Option::unwrap), ["grpc", "_OTHER", "OK"]);
    assert_eq!(span.status, Status::Unset);
    let caused = running.theatre.caused().unwrap();
    assert_eq!(caused, format!("00-{TRACE_ID}-{}-01", span.span_context.span_id()), "events follow the call");
}

#[tokio::test]
async fn a_call_without_a_valid_caller_begins_a_trace() {
    for caller in [&[][..], &[("traceparent", "garbage"), ("tracestate", "vendor=1")]] {
        let recording = Recording::begin(1.0);
        let running = Running::start(Limits::default()).await;
        running.call_from(caller).await.unwrap();
        let span = only_span(&recording).await;
        assert!(is_root(&span) && span.span_context.trace_id().to_string() != TRACE_ID);
        assert_eq!(span.span_context.trace_state().header(), "");
    }
}

#[tokio::test]
async fn what_is_not_sampled_leaves_no_span_and_the_callers_word_as_it_is() {
    let recording = Recording::begin(1.0);
    let running = Running::start(Limits::default()).await;
    running.call_from(&[("traceparent", NOT_SAMPLED)]).await.unwrap();
    assert_eq!(running.theatre.caused().as_deref(), Some(NOT_SAMPLED));
    // A call after it, so that the first has surely ended.
    running.call("Reserve").await.unwrap();
    assert!(is_root(&only_span(&recording).await));
}

#[tokio::test]
async fn without_an_exporter_the_callers_word_goes_on_as_it_is() {
    let running = Running::start(Limits::default()).await;
    for caller in [SAMPLED, NOT_SAMPLED] {
        running.call_from(&[("traceparent", caller)]).await.unwrap();
        assert_eq!(running.theatre.caused().as_deref(), Some(caller));
    }
    running.call("Reserve").await.unwrap();
    assert_eq!(running.theatre.caused(), None);
}

#[tokio::test]
async fn a_call_that_fails_says_how() {
    let recording = Recording::begin(1.0);
    let running = Running::start(Limits::default()).await;
    running.call_path("/theatre.v1.Opera/Sing", &[]).await.unwrap_err();
    let span = only_span(&recording).await;
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("UNIMPLEMENTED"));
    assert_eq!(attribute(&span, "error.type").as_deref(), Some("UNIMPLEMENTED"));
    assert!(matches!(span.status, Status::Error { .. }));
}

#[tokio::test]
async fn the_callers_own_mistake_is_no_failure_of_the_server() {
    let recording = Recording::begin(1.0);
    let running = Running::start(Limits::default()).await;
    running.call_with("Reserve", &[0x0a, 9, b'x']).await.unwrap_err();
    let span = only_span(&recording).await;
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("INVALID_ARGUMENT"));
    assert_eq!((attribute(&span, "error.type"), span.status), (None, Status::Unset));
}

#[tokio::test]
async fn a_call_that_its_caller_leaves_is_cancelled() {
    let recording = Recording::begin(1.0);
    let running = Running::start(Limits::default()).await;
    running.begin("Wait").await.abort();
    let span = only_span(&recording).await;
    assert_eq!(attribute(&span, "rpc.response.status_code").as_deref(), Some("CANCELLED"));
}

#[tokio::test]
async fn health_and_reflection_are_not_traced() {
    let recording = Recording::begin(1.0);
    let running = Running::start(Limits::default()).await;
    running.health("liveness").await.unwrap();
    running.services("grpc.reflection.v1.ServerReflection").await;
    running.call("Reserve").await.unwrap();
    assert_eq!(only_span(&recording).await.name, "_OTHER");
}
