//! Says how the export goes: once when it begins to fail, once when it works again, and by counters.

use std::{
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use metrics::{counter, describe_counter};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tracing::{info, warn};

const EXPORTED: &str = "diptych_trace_spans_exported_total";
const LOST: &str = "diptych_trace_spans_lost_total";

/// An exporter that is watched.
#[derive(Debug)]
pub(super) struct Reporting<E> {
    exporter: E,
    endpoint: String,
    fails: AtomicBool,
}

impl<E> Reporting<E> {
    pub(super) fn new(exporter: E, endpoint: String) -> Self {
        Self { exporter, endpoint, fails: AtomicBool::new(false) }
    }

    fn note(&self, spans: usize, result: &OTelSdkResult) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        let fails = result.is_err();
        // Here and not at the start: metrics are set up after logs. Exports are rare.
        describe_counter!(EXPORTED, "Spans that the trace collector has taken");
        describe_counter!(LOST, "Spans that the trace collector has not taken");
        counter!(EXPORTED).increment(if fails { 0 } else { spans });
        counter!(LOST).increment(if fails { spans } else { 0 });
        match (result, self.fails.swap(fails, Ordering::Relaxed)) {
            (Err(error), false) => {
                warn!(endpoint = self.endpoint, %error, "traces cannot be exported, spans are dropped until they can");
            }
            (Ok(()), true) => info!(endpoint = self.endpoint, "traces are exported again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        async move {
            let result = self.exporter.export(batch).await;
            self.note(spans, &result);
            result
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.exporter.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
