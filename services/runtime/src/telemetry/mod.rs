//! Logs to stderr, metrics for Prometheus, traces to an OpenTelemetry collector.

mod exporter;
mod json_lines;
mod logs;
mod process;
#[cfg(test)]
mod tests;
mod traces;

pub use exporter::{MetricsError, MetricsExporter, install_metrics};
pub use logs::{LogFormat, LogSettings, LogsError, check_filter, install_logs};
#[cfg(test)]
pub(crate) use traces::testing;
pub use traces::{TraceSettings, Traces, TracesError, check_endpoint, install_logs_and_traces};
