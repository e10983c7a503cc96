//! The running export of traces.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::{task::spawn_blocking, time::timeout};
use tracing::{Subscriber, level_filters::LevelFilter, warn};
use tracing_subscriber::{Layer, Registry, filter::filter_fn, layer::SubscriberExt, registry::LookupSpan};

use crate::trace;

/// The running export of traces. Stop it last, with [`Traces::shutdown`]: spans that are not exported by then are lost.
#[must_use = "spans that are not exported yet are lost unless it is shut down"]
#[derive(Debug)]
pub struct Traces {
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// No export: no spans are made.
    pub(super) fn off() -> Self {
        Self { provider: None }
    }

    /// Begins the export to a provider.
    pub(super) fn begin(provider: SdkTracerProvider) -> Self {
        trace::exporter_begins();
        Self { provider: Some(provider) }
    }

    /// Exports the spans that have ended, and stops. Waits for `wait_max` at most; spans that are not exported by then
    /// are dropped.
    pub async fn shutdown(mut self, wait_max: Duration) {
        let Some(provider) = self.provider.take() else { return };
        trace::exporter_ends();
        // It blocks while it waits for a connection that this runtime runs.
        let flushed = spawn_blocking(move || provider.shutdown_with_timeout(wait_max));
        if !matches!(timeout(wait_max, flushed).await, Ok(Ok(Ok(())))) {
            warn!(wait_max_ms = wait_max.as_millis(), "the last spans could not be exported in time");
        }
    }
}

/// Without a shutdown the installed exporter continues, but no spans are made for it any more.
impl Drop for Traces {
    fn drop(&mut self) {
        if self.provider.take().is_some() {
            trace::exporter_ends();
        }
    }
}

/// A subscriber that exports the spans with the target [`trace::TARGET`], and nothing else: no log lines, no spans of
/// libraries.
pub(super) fn registry(
    provider: &SdkTracerProvider,
) -> impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync + use<> {
    let layer = tracing_opentelemetry::layer::<Registry>()
        .with_tracer(provider.tracer("diptych"))
        // Attributes outside of the semantic conventions are left out.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // Context activation is off: parents come from tracing spans.
        .with_context_activation(false);
    let only_ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == trace::TARGET);
    tracing_subscriber::registry().with(layer.with_filter(only_ours.with_max_level_hint(LevelFilter::INFO)))
}
