//! Logs.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Coloured lines on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Lines for people, with colours only on a terminal.
    Text,
    /// One JSON object per line, for collectors.
    Json,
}

/// Logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter cannot be read.
    #[error("log filter {filter:?} cannot be read ({reason}): write it as `info` or `info,diptych_relay=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// Why not.
        reason: String,
    },
    /// Somebody else has set them up.
    #[error("logs are set up twice in this process")]
    Twice,
}

/// Sends what this process logs to stderr, from now on and once. `filter` is in the form of `RUST_LOG`.
///
/// # Errors
/// When the filter cannot be read, or logs were set up before.
pub fn install_logs(filter: &str, format: LogFormat) -> Result<(), LogsError> {
    let filter = read_filter(filter)?;
    let terminal = io::stderr().is_terminal();
    let registry = tracing_subscriber::registry().with(filter);
    let installed = if format == LogFormat::Json || (format == LogFormat::Auto && !terminal) {
        registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().with_ansi(terminal).with_writer(io::stderr)).try_init()
    };
    installed.map_err(|_| LogsError::Twice)
}

/// Whether a filter can be read: for whoever checks a configuration.
///
/// # Errors
/// When it cannot.
pub fn check_filter(filter: &str) -> Result<(), LogsError> {
    read_filter(filter).map(|_| ())
}

fn read_filter(filter: &str) -> Result<EnvFilter, LogsError> {
    EnvFilter::try_new(filter)
        .map_err(|error| LogsError::Filter { filter: filter.to_owned(), reason: error.to_string() })
}
