//! Traces of one thread, kept in memory.

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

use super::{Traces, registry, sampler};

#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.0.lock().append(&mut batch);
        std::future::ready(Ok(()))
    }
}

/// Every span that ends on this thread while it lives.
pub(crate) struct Recording {
    kept: Kept,
    _traces: Traces,
    _subscriber: DefaultGuard,
}

impl Recording {
    /// Of traces that begin here, this share.
    pub(crate) fn begin(ratio: f64) -> Self {
        keep_others();
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).with_sampler(sampler(ratio));
        let provider = provider.build();
        let subscriber = tracing::subscriber::set_default(registry(&provider));
        Self { kept, _traces: Traces::begin(provider), _subscriber: subscriber }
    }

    /// The spans that have ended, in that order.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.kept.0.lock().clone()
    }
}

/// Log lines, kept in memory.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// What has been written.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    /// What has been written since the last call.
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

/// With one subscriber in the process `tracing` asks only the thread that comes to a span first whether anybody wants it. Where that was a
/// test without a recording, nobody ever got one. With more it asks all of them.
fn keep_others() {
    static OTHERS: OnceLock<[Dispatch; 2]> = OnceLock::new();
    OTHERS.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));
}

/// An attribute of a span, as text.
pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|KeyValue { key: found, .. }| found.as_str() == key);
    found.map(|found| found.value.to_string())
}

/// Whether a span has no parent at all.
pub(crate) fn is_root(span: &SpanData) -> bool {
    span.parent_span_id == SpanId::INVALID
}
