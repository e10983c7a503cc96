//! In-memory recording of spans and log lines, for tests.

use std::{
    future::Future,
    io,
    sync::{Arc, OnceLock},
};

use opentelemetry::{KeyValue, trace::SpanId};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use parking_lot::Mutex;
use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, NoSubscriber},
};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    export::{Traces, registry},
    sampler::sampler,
};

#[derive(Clone, Debug, Default)]
struct InMemoryExporter(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for InMemoryExporter {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().append(&mut batch);
        std::future::ready(Ok(()))
    }
}

/// Records the spans that end on this thread until it is dropped.
pub(crate) struct SpanRecorder {
    exporter: InMemoryExporter,
    _traces: Traces,
    _subscriber: DefaultGuard,
}

impl SpanRecorder {
    /// Begins to record. `ratio` is the sampled share of the traces that begin here.
    pub(crate) fn begin(ratio: f64) -> Self {
        keep_other_subscribers();
        let exporter = InMemoryExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).with_sampler(sampler(ratio));
        let provider = provider.build();
        let subscriber = tracing::subscriber::set_default(registry(&provider));
        Self { exporter, _traces: Traces::begin(provider), _subscriber: subscriber }
    }

    /// The spans that have ended, in that order.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.exporter.0.lock().clone()
    }
}

/// Log lines, kept in memory.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Returns all lines written so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    /// Returns the lines written since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Keeps two more subscribers alive. With one subscriber in the process, `tracing` caches the interest in a span from
/// the thread that first reaches it; if that is a test without a recorder, the span is disabled for all tests. With
/// several, it asks all of them.
fn keep_other_subscribers() {
    static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();
    OTHERS.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|KeyValue { key: found, .. }| found.as_str() == key);
    found.map(|found| found.value.to_string())
}

/// Returns whether a span has no parent.
pub(crate) fn is_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID
}
