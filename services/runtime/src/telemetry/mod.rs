//! Logs to stderr, metrics on a listener of their own.

mod exporter;
mod logs;
#[cfg(test)]
mod tests;

pub use exporter::{InstallError, Metrics, install_metrics};
pub use logs::{LogFormat, LogsError, check_filter, install_logs};
