//! Traces, over OTLP to a collector.

mod reporting;
mod sampler;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::{Uri, uri::Scheme};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tokio::{runtime::Handle, task::spawn_blocking, time::timeout};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, warn};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, filter_fn},
    layer::{Filter, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use self::{reporting::Reporting, sampler::sampler};
use super::{
    LogSettings, LogsError,
    logs::{lines_to_stderr, read_filter},
};
use crate::trace::{self, Systems};

/// How many spans may wait to be exported; further ones are dropped. A batch of a stage ends a few thousand at once. About half a kilobyte each.
const QUEUE_SPANS_MAX: usize = 8_192;
/// How many links a span may have: the largest usual batch has so many events.
const LINKS_PER_SPAN_MAX: u32 = 1_024;
/// What the exporter says of itself begins with this.
const EXPORTER_TARGET: &str = "opentelemetry";
/// What is worth a log line of that: it is said once, and at the end. That the collector is away says [`Reporting`].
const EXPORTER_EVENTS: [&str; 2] = ["BatchSpanProcessor.SpanDroppingStarted", "BatchSpanProcessor.SpansDropped"];

/// Where traces go, and which.
///
/// Attributes of the process beside its name and version can be given as OpenTelemetry has it: `OTEL_RESOURCE_ATTRIBUTES`, and
/// `OTEL_EXPORTER_OTLP_HEADERS` for what a collector wants to be told with each call.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The collector, by OTLP over gRPC: `http://host:4317`.
    pub endpoint: String,
    /// What this process is called in traces.
    pub service_name: String,
    /// Of the traces that begin here, because their caller has sent no context, this share is exported: 0 to 1; values outside move to the nearest
    /// end. Whether a caller's trace is exported its `traceparent` says.
    pub sampling_ratio: f64,
    /// How often spans are exported, at the latest.
    pub export_interval: Duration,
    /// How long an export may take, repetitions included; then its spans are dropped.
    pub export_timeout: Duration,
    /// What stands behind the ports.
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
    /// The endpoint is none.
    #[error(
        "trace endpoint {endpoint:?} cannot be used, {problem}: write it as http://127.0.0.1:4317 (OTLP over gRPC; a \
         collector elsewhere that wants TLS is reached through one beside this process)"
    )]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is no runtime that could carry them.
    #[error("traces are set up outside of the runtime: call this inside of it")]
    NoRuntime,
    /// The exporter does not want to be.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// Logs, which are set up together with them, cannot be.
    #[error(transparent)]
    Logs(#[from] LogsError),
}

/// The export of traces. Let it be stopped last of all, by [`Traces::shutdown`]: what is not exported by then is lost with the process.
#[must_use = "spans that were not exported yet are lost unless it is shut down"]
#[derive(Debug)]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
}

/// Sends what this process logs to stderr, as [`super::install_logs`] does, and its traces to a collector, from now on and once. Without
/// `traces` it is logs alone, and no span is made. Call it inside of the runtime, which carries the exporter's connection.
///
/// A collector that cannot be reached, now or later, is no error and holds up nobody: it is logged once, and spans are dropped until it is there.
///
/// # Errors
/// When the filter or the endpoint cannot be used, or logs were set up before.
pub fn install_logs_and_traces(logs: &LogSettings, traces: Option<&TraceSettings>) -> Result<Traces, TracesError> {
    let Some(settings) = traces else {
        super::install_logs(logs)?;
        return Ok(Traces { provider: None });
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

/// Whether an endpoint can be used: for whoever checks a configuration.
///
/// # Errors
/// When it cannot.
pub fn check_endpoint(endpoint: &str) -> Result<(), TracesError> {
    let refuse = |problem| Err(TracesError::Endpoint { endpoint: endpoint.to_owned(), problem });
    let Ok(uri) = endpoint.parse::<Uri>() else { return refuse("it is no URL") };
    match (uri.scheme(), uri.authority(), uri.path()) {
        (Some(scheme), ..) if *scheme == Scheme::HTTPS => refuse("this program speaks to collectors without TLS"),
        (Some(scheme), Some(_), "/") if *scheme == Scheme::HTTP => Ok(()),
        (Some(scheme), Some(_), _) if *scheme == Scheme::HTTP => refuse("it has a path"),
        _ => refuse("it is no http:// URL"),
    }
}

impl Traces {
    fn begin(provider: SdkTracerProvider) -> Self {
        trace::exporter_begins();
        Self { provider: Some(provider) }
    }

    /// Exports what has ended, and stops. Takes `wait_max` at most; what is not exported by then is dropped.
    pub async fn shutdown(mut self, wait_max: Duration) {
        let Some(provider) = self.provider.take() else { return };
        trace::exporter_ends();
        // It waits by blocking, for a connection that this runtime carries.
        let flushed = spawn_blocking(move || provider.shutdown_with_timeout(wait_max));
        if !matches!(timeout(wait_max, flushed).await, Ok(Ok(Ok(())))) {
            warn!(wait_max_ms = wait_max.as_millis(), "the last spans could not be exported");
        }
    }
}

/// Dropped without a shutdown it goes on where it was installed for good, but nobody makes spans for it any more.
impl Drop for Traces {
    fn drop(&mut self) {
        if self.provider.take().is_some() {
            trace::exporter_ends();
        }
    }
}

/// A subscriber that makes traces of spans that are made for them, and of nothing else: no log line, no span of a library.
fn registry(provider: &SdkTracerProvider) -> impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync + use<> {
    let layer = tracing_opentelemetry::layer::<Registry>()
        .with_tracer(provider.tracer("diptych"))
        // What is not in the conventions is left out.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // Spans find their parents by the spans around them; nobody asks OpenTelemetry where he is.
        .with_context_activation(false);
    let only_ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == trace::TARGET);
    tracing_subscriber::registry().with(layer.with_filter(only_ours.with_max_level_hint(LevelFilter::INFO)))
}

/// What is logged beside traces: as without them, and little of the exporter's own words unless the filter names it.
fn log_filter<S>(filter: &str) -> Result<impl Filter<S> + use<S>, LogsError>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    EnvFilter: Filter<S>,
{
    let wants_exporter = filter.contains(EXPORTER_TARGET);
    Ok(read_filter(filter)?.and(filter_fn(move |metadata| wants_exporter || !is_chatter(metadata))))
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
    let processor = BatchSpanProcessor::builder(Reporting::new(exporter, settings.endpoint.clone()));
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
