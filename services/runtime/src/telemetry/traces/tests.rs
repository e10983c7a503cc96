use std::{future::Future, sync::Arc};

use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use parking_lot::Mutex;
use tracing::{info, info_span};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt};

use super::{
    reporting::Reporting,
    testing::{Lines, Recording},
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
fn spans_of_traces_are_not_seen_in_logs() {
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
fn logs_and_spans_of_others_are_not_exported() {
    let recording = Recording::begin(1.0);
    work();
    info_span!(target: "h2", "frame").in_scope(|| info!(target: "tonic", "a line"));
    let spans = recording.spans();
    assert_eq!(spans.iter().map(|span| span.name.as_ref()).collect::<Vec<_>>(), ["work"]);
    assert_eq!(spans[0].events.len(), 0);
}

#[test]
fn of_the_exporters_own_words_only_the_rare_ones_are_logged() {
    let lines = Lines::default();
    let says = |filter: &str| {
        let filter = log_filter(filter).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer(&lines).with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(name: "BatchSpanProcessor.ExportError", target: "opentelemetry_sdk", "each time");
            tracing::warn!(name: "BatchSpanProcessor.SpanDroppingStarted", target: "opentelemetry_sdk", "once");
        });
        lines.take()
    };
    assert_eq!(says("info"), " WARN opentelemetry_sdk: once\n");
    let asked_for = says("info,opentelemetry_sdk=debug");
    assert_eq!(asked_for.lines().count(), 2, "{asked_for}");
}

/// Fails as long as it is told to.
#[derive(Clone, Debug, Default)]
struct Flaky(Arc<Mutex<bool>>);

impl SpanExporter for Flaky {
    fn export(&self, _: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let result = if *self.0.lock() { Err(OTelSdkError::InternalFailure("gone".to_owned())) } else { Ok(()) };
        std::future::ready(result)
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_logged_once_each_time() {
    let lines = Lines::default();
    let _logs = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer(&lines)));
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _metrics = metrics::set_default_local_recorder(&recorder);
    let flaky = Flaky::default();
    let exporter = Reporting::new(flaky.clone(), "http://collector:4317".to_owned());
    for fails in [false, true, true, true, false, false, true] {
        *flaky.0.lock() = fails;
        let span = Recording::begin(1.0);
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
fn endpoints_that_cannot_be_used_say_why() {
    for good in ["http://127.0.0.1:4317", "http://collector.observability:4317/", "http://[::1]:4317"] {
        check_endpoint(good).unwrap();
    }
    for (bad, why) in [
        ("", "no URL"),
        ("127.0.0.1:4317", "no http:// URL"),
        ("collector", "no http:// URL"),
        ("http://", "no URL"),
        ("grpc://collector:4317", "no http:// URL"),
        ("https://collector:4317", "without TLS"),
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
