use std::{future::Future, sync::Arc};

use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use parking_lot::Mutex;
use tracing::{info, info_span};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt};

use super::{
    reporting::ReportingExporter,
    testing::{Lines, SpanRecorder},
    *,
};
use crate::trace::TARGET;

fn layer<S>(lines: &Lines) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer().with_ansi(false).without_time().with_writer(lines.clone())
}

/// Logs a line in a span of a trace.
fn work() {
    let span = info_span!(target: TARGET, parent: None, "work", otel.name = "work", secret = "x");
    let _inside = span.enter();
    info!(target: "theatre", seats = 7, "the play begins");
}

#[test]
fn spans_of_traces_are_not_in_logs() {
    let (with, without) = (Lines::default(), Lines::default());
    let provider = SdkTracerProvider::builder().build();
    let filter = log_filter("info").unwrap();
    tracing::subscriber::with_default(registry(&provider).with(layer(&with).with_filter(filter)), work);
    let filter: EnvFilter = read_filter("info").unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(filter).with(layer(&without)), work);
    assert_eq!(with.text(), " INFO theatre: the play begins seats=7\n");
    assert_eq!(without.text(), with.text());
}

#[test]
fn logs_and_spans_of_libraries_are_not_exported() {
    let recorder = SpanRecorder::begin(1.0);
    work();
    info_span!(target: "h2", "frame").in_scope(|| info!(target: "tonic", "a line"));
    let spans = recorder.spans();
    assert_eq!(spans.iter().map(|span| span.name.as_ref()).collect::<Vec<_>>(), ["work"]);
    assert_eq!(spans[0].events.len(), 0);
}

#[test]
fn only_rare_events_of_the_exporter_are_logged() {
    let lines = Lines::default();
    let logged = |filter: &str| {
        let filter = log_filter(filter).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(&lines).with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(name: "BatchSpanProcessor.ExportError", target: "opentelemetry_sdk", "each time");
            tracing::warn!(name: "BatchSpanProcessor.SpanDroppingStarted", target: "opentelemetry_sdk", "once");
        });
        lines.take()
    };
    assert_eq!(logged("info"), " WARN opentelemetry_sdk: once\n");
    let asked_for = logged("info,opentelemetry_sdk=debug");
    assert_eq!(asked_for.lines().count(), 2, "{asked_for}");
}

/// Fails while its flag is set.
#[derive(Clone, Debug, Default)]
struct Flaky(Arc<Mutex<bool>>);

impl SpanExporter for Flaky {
    fn export(&self, _: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let result = if *self.0.lock() { Err(OTelSdkError::InternalFailure("gone".to_owned())) } else { Ok(()) };
        std::future::ready(result)
    }
}

#[tokio::test]
async fn an_unreachable_collector_is_logged_once_each_time() {
    let lines = Lines::default();
    let _logs = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer(&lines)));
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let flaky = Flaky::default();
    let exporter = ReportingExporter::new(flaky.clone(), "http://collector:4317".to_owned());
    for fails in [false, true, true, true, false, false, true] {
        *flaky.0.lock() = fails;
        let span = SpanRecorder::begin(1.0);
        info_span!(target: TARGET, parent: None, "work").in_scope(|| ());
        let spans = span.spans();
        drop(span);
        assert_eq!(exporter.export(spans).await.is_err(), fails);
    }
    let text = lines.text();
    assert_eq!(text.matches("traces cannot be exported").count(), 2, "{text}");
    assert_eq!(text.matches("traces are exported again").count(), 1, "{text}");
    assert!(text.contains("http://collector:4317") && text.contains("gone"), "{text}");
    let metrics = recorder.handle().render();
    assert!(metrics.contains("diptych_trace_spans_exported_total 3"), "{metrics}");
    assert!(metrics.contains("diptych_trace_spans_lost_total 4"), "{metrics}");
}

#[test]
fn invalid_endpoints_are_rejected_with_the_problem() {
    for good in ["http://127.0.0.1:4317", "http://collector.observability:4317/", "http://[::1]:4317"] {
        check_endpoint(good).unwrap();
    }
    for (bad, why) in [
        ("", "not a URL"),
        ("127.0.0.1:4317", "not an http:// URL"),
        ("collector", "not an http:// URL"),
        ("http://", "not a URL"),
        ("grpc://collector:4317", "not an http:// URL"),
        ("https://collector:4317", "TLS is not supported"),
        ("http://collector:4318/v1/traces", "has a path"),
    ] {
        let error = check_endpoint(bad).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(&format!("{bad:?}")), "{bad}: {error}");
    }
}

#[test]
fn traces_need_a_runtime() {
    let settings = TraceSettings::new("http://127.0.0.1:4317", "theatre");
    let error = install_logs_and_traces(&LogSettings::new("info", crate::telemetry::LogFormat::Text), Some(&settings))
        .unwrap_err();
    assert!(matches!(error, TracesError::NoRuntime), "{error}");
}
