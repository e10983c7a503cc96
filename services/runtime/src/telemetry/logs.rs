//! Logs.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, filter::Directive, fmt, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

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

/// Spans that are made for traces alone never get into logs, neither as lines nor as what a line was said in. The name is
/// [`crate::trace::TARGET`].
const NO_TRACES: &str = "diptych_trace=off";

/// Sends what this process logs to stderr, from now on and once. `filter` is in the form of `RUST_LOG`.
///
/// # Errors
/// When the filter cannot be read, or logs were set up before.
pub fn install_logs(filter: &str, format: LogFormat) -> Result<(), LogsError> {
    let filter = read_filter(filter)?;
    let installed = tracing_subscriber::registry().with(filter).with(lines_to_stderr(format)).try_init();
    installed.map_err(|_| LogsError::Twice)
}

/// Whether a filter can be read: for whoever checks a configuration.
///
/// # Errors
/// When it cannot.
pub fn check_filter(filter: &str) -> Result<(), LogsError> {
    read_filter(filter).map(|_| ())
}

/// Every line goes to stderr in this format.
pub(super) fn lines_to_stderr<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let terminal = io::stderr().is_terminal();
    if format == LogFormat::Json || (format == LogFormat::Auto && !terminal) {
        fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed()
    } else {
        fmt::layer().with_ansi(terminal).with_writer(io::stderr).boxed()
    }
}

pub(super) fn read_filter(filter: &str) -> Result<EnvFilter, LogsError> {
    let unreadable = |reason: String| LogsError::Filter { filter: filter.to_owned(), reason };
    let read = EnvFilter::try_new(filter).map_err(|error| unreadable(error.to_string()))?;
    let no_traces: Directive = NO_TRACES.parse().map_err(|error| unreadable(format!("{error}")))?;
    Ok(read.add_directive(no_traces))
}
