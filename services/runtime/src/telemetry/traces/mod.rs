//! Export of traces to a collector by OTLP over gRPC.

mod export;
mod reporting;
mod sampler;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::{Uri, uri::Scheme};
use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tokio::runtime::Handle;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    layer::{Filter, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub use self::export::Traces;
use self::{export::registry, reporting::ReportingExporter, sampler::sampler};
use super::{
    LogSettings, LogsError,
    logs::{lines_to_stderr, read_filter},
};
use crate::trace::{self, Systems};

/// Capacity of the export queue, in spans of about half a kilobyte; further ones are dropped. A batch of the relay or
/// projector ends a few thousand spans at once.
const QUEUE_SPANS_MAX: usize = 8_192;
/// Largest number of links of a span: the number of events of the largest usual batch.
const LINKS_PER_SPAN_MAX: u32 = 1_024;
/// The prefix of the log targets of the exporter.
const EXPORTER_TARGET: &str = "opentelemetry";
/// The events of the exporter that are logged by default: they are rare. [`ReportingExporter`] logs that the collector
/// is unreachable.
const EXPORTER_EVENTS: [&str; 2] = ["BatchSpanProcessor.SpanDroppingStarted", "BatchSpanProcessor.SpansDropped"];

/// Settings of the export of traces.
///
/// The environment variables of OpenTelemetry apply as well: `OTEL_RESOURCE_ATTRIBUTES` for further attributes of the
/// process, and `OTEL_EXPORTER_OTLP_HEADERS` for headers of the calls to the collector.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The URL of the collector, for OTLP over gRPC: `http://host:4317`.
    pub endpoint: String,
    /// The name of this process in traces.
    pub service_name: String,
    /// The sampled share of the traces that begin here, because their caller has sent no context: 0 to 1; values
    /// outside are moved to the nearest end. A caller's `traceparent` decides on its own trace.
    pub sampling_ratio: f64,
    /// Longest time between exports.
    pub export_interval: Duration,
    /// Longest time of an export including retries; after it the spans are dropped.
    pub export_timeout: Duration,
    /// The names of the databases, log and cache in spans.
    pub systems: Systems,
}

impl TraceSettings {
    /// All traces, exported within a second or dropped after ten, of a process on the embedded adapters.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, service_name: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            service_name: service_name.into(),
            sampling_ratio: 1.0,
            export_interval: Duration::from_secs(1),
            export_timeout: Duration::from_secs(10),
            systems: Systems::EMBEDDED,
        }
    }
}

/// Traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is invalid.
    #[error(
        "invalid trace endpoint {endpoint:?}, {problem}: write it as http://127.0.0.1:4317 (OTLP over gRPC; to reach a \
         collector with TLS, run one without TLS beside this process)"
    )]
    Endpoint {
        /// The endpoint.
        endpoint: String,
        /// The problem.
        problem: &'static str,
    },
    /// The caller is not in a tokio runtime.
    #[error("traces must be set up inside of the tokio runtime")]
    NoRuntime,
    /// The exporter cannot be built.
    #[error("the trace exporter cannot be built: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Logs, which are set up together with traces, cannot be set up.
    #[error(transparent)]
    Logs(#[from] LogsError),
}

/// Sends the logs of this process to stderr, as [`super::install_logs`], and its traces to a collector. Without
/// `traces`, no spans are made. Call it once, inside of the tokio runtime, which runs the exporter's connection.
///
/// A collector that cannot be reached, now or later, is no error and delays nothing: it is logged once, and spans are
/// dropped meanwhile.
///
/// # Errors
/// If the filter or the endpoint is invalid, or logs were set up before.
pub fn install_logs_and_traces(logs: &LogSettings, traces: Option<&TraceSettings>) -> Result<Traces, TracesError> {
    let Some(settings) = traces else {
        super::install_logs(logs)?;
        return Ok(Traces::off());
    };
    let log_filter = log_filter(&logs.filter)?;
    let provider = provider(settings)?;
    let installed = registry(&provider)
        .with(lines_to_stderr(logs).with_filter(log_filter))
        .try_init()
        .map_err(|_| LogsError::Twice);
    let traces = Traces::begin(provider);
    installed?;
    trace::set_systems(settings.systems.clone());
    Ok(traces)
}

/// Checks an endpoint without using it.
///
/// # Errors
/// If the endpoint is invalid.
pub fn check_endpoint(endpoint: &str) -> Result<(), TracesError> {
    let invalid = |problem| Err(TracesError::Endpoint { endpoint: endpoint.to_owned(), problem });
    let Ok(uri) = endpoint.parse::<Uri>() else { return invalid("it is not a URL") };
    match (uri.scheme(), uri.authority(), uri.path()) {
        (Some(scheme), ..) if *scheme == Scheme::HTTPS => invalid("TLS is not supported"),
        (Some(scheme), Some(_), "/") if *scheme == Scheme::HTTP => Ok(()),
        (Some(scheme), Some(_), _) if *scheme == Scheme::HTTP => invalid("it has a path"),
        _ => invalid("it is not an http:// URL"),
    }
}

/// The log filter if traces are exported: the same as without, and few events of the exporter unless the filter names
/// its target.
fn log_filter<S>(filter: &str) -> Result<impl Filter<S> + use<S>, LogsError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    EnvFilter: Filter<S>,
{
    let names_exporter = filter.contains(EXPORTER_TARGET);
    Ok(read_filter(filter)?.and(filter_fn(move |metadata| names_exporter || !is_chatter(metadata))))
}

fn is_chatter(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(EXPORTER_TARGET) && !EXPORTER_EVENTS.contains(&metadata.name())
}

fn provider(settings: &TraceSettings) -> Result<SdkTracerProvider, TracesError> {
    check_endpoint(&settings.endpoint)?;
    if Handle::try_current().is_err() {
        return Err(TracesError::NoRuntime);
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.export_timeout)
        .build()?;
    let queue = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_SPANS_MAX)
        .with_scheduled_delay(settings.export_interval)
        .build();
    let processor = BatchSpanProcessor::builder(ReportingExporter::new(exporter, settings.endpoint.clone()));
    let resource = Resource::builder()
        .with_service_name(settings.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor.with_batch_config(queue).build())
        .with_sampler(sampler(settings.sampling_ratio))
        .with_max_links_per_span(LINKS_PER_SPAN_MAX)
        .with_resource(resource.build())
        .build())
}
