//! Logs and metrics of the export of traces: a line when it begins to fail, a line when it works again, and counters.

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

/// An exporter with logs and metrics around it.
#[derive(Debug)]
pub(super) struct ReportingExporter<E> {
    exporter: E,
    endpoint: String,
    is_failing: AtomicBool,
}

impl<E> ReportingExporter<E> {
    pub(super) fn new(exporter: E, endpoint: String) -> Self {
        Self { exporter, endpoint, is_failing: AtomicBool::new(false) }
    }

    fn record(&self, spans: usize, result: &OTelSdkResult) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        let fails = result.is_err();
        // Registered here, as metrics are set up after logs and traces. Exports are rare.
        describe_counter!(EXPORTED, "Spans exported to the trace collector");
        describe_counter!(LOST, "Spans lost because the trace collector did not accept them");
        counter!(EXPORTED).increment(if fails { 0 } else { spans });
        counter!(LOST).increment(if fails { spans } else { 0 });
        match (result, self.is_failing.swap(fails, Ordering::Relaxed)) {
            (Err(error), false) => {
                warn!(endpoint = self.endpoint, %error, "traces cannot be exported, dropping spans");
            }
            (Ok(()), true) => info!(endpoint = self.endpoint, "traces are exported again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for ReportingExporter<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        async move {
            let result = self.exporter.export(batch).await;
            self.record(spans, &result);
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
