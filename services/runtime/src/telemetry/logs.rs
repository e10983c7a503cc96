//! Logs to stderr, as text or as JSON.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::Directive,
    fmt::{self, MakeWriter, format::JsonFields},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::json_lines::JsonLines;

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Coloured text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text, with colours only on a terminal.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// Filter and format of the lines that a process logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// The filter, in the form of `RUST_LOG`: `info` or `info,diptych_relay=debug`.
    pub filter: String,
    /// The format of the lines.
    pub format: LogFormat,
    /// Fields of every JSON line, such as the role and the instance of the process.
    pub process: Vec<(&'static str, String)>,
}

impl LogSettings {
    /// Lines that name no process.
    #[must_use]
    pub fn new(filter: impl Into<String>, format: LogFormat) -> Self {
        Self { filter: filter.into(), format, process: Vec::new() }
    }
}

/// Logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The filter is invalid.
    #[error("invalid log filter {filter:?} ({reason}): write it as `info` or `info,diptych_relay=debug`")]
    Filter {
        /// The filter.
        filter: String,
        /// The problem.
        reason: String,
    },
    /// Another subscriber of `tracing` is installed already.
    #[error("logs are set up twice in this process")]
    Twice,
}

/// Keeps spans of traces out of the logs, both as lines and as the context of lines. The name is
/// [`crate::trace::TARGET`].
const NO_TRACES: &str = "diptych_trace=off";

/// Sends the logs of this process to stderr. Call it once.
///
/// # Errors
/// When the filter is invalid, or logs were set up before.
pub fn install_logs(settings: &LogSettings) -> Result<(), LogsError> {
    let filter = read_filter(&settings.filter)?;
    let installed = tracing_subscriber::registry().with(filter).with(lines_to_stderr(settings)).try_init();
    installed.map_err(|_| LogsError::Twice)
}

/// Checks a filter without installing it.
///
/// # Errors
/// When the filter is invalid.
pub fn check_filter(filter: &str) -> Result<(), LogsError> {
    read_filter(filter).map(|_| ())
}

/// Writes every line to stderr.
pub(super) fn lines_to_stderr<S>(settings: &LogSettings) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let terminal = io::stderr().is_terminal();
    if settings.format == LogFormat::Json || (settings.format == LogFormat::Auto && !terminal) {
        json_lines(settings, io::stderr)
    } else {
        fmt::layer().with_ansi(terminal).with_writer(io::stderr).boxed()
    }
}

/// Writes every line as JSON.
fn json_lines<S, W>(settings: &LogSettings, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = JsonLines::new(settings.process.clone());
    fmt::layer().fmt_fields(JsonFields::new()).event_format(lines).with_writer(writer).boxed()
}

pub(super) fn read_filter(filter: &str) -> Result<EnvFilter, LogsError> {
    let invalid = |reason: String| LogsError::Filter { filter: filter.to_owned(), reason };
    let read = EnvFilter::try_new(filter).map_err(|error| invalid(error.to_string()))?;
    let no_traces: Directive = NO_TRACES.parse().map_err(|error| invalid(format!("{error}")))?;
    Ok(read.add_directive(no_traces))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::Value;
    use tracing::{error, info, info_span, warn};

    use super::*;
    use crate::telemetry::testing::Lines;

    /// The entries of one JSON line, each key once.
    fn entries(line: &str) -> BTreeMap<String, Value> {
        let object: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        for key in object.keys() {
            assert_eq!(line.matches(&format!("\"{key}\":")).count(), 1, "key {key} of {line}");
        }
        object
    }

    fn logged(log: impl FnOnce()) -> Vec<BTreeMap<String, Value>> {
        let lines = Lines::default();
        let process = vec![("role", "relay".to_owned()), ("instance", "relay-0".to_owned())];
        let settings = LogSettings { process, ..LogSettings::new("info", LogFormat::Json) };
        let layer = json_lines(&settings, lines.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        lines.text().lines().map(entries).collect()
    }

    #[test]
    fn every_json_line_names_its_process() {
        let lines = logged(|| {
            info!("first");
            warn!(target: "librdkafka", "second");
        });
        assert_eq!(lines.len(), 2);
        for (line, (level, target, message)) in
            lines.iter().zip([("INFO", module_path!(), "first"), ("WARN", "librdkafka", "second")])
        {
            assert_eq!((&line["role"], &line["instance"]), (&"relay".into(), &"relay-0".into()));
            assert_eq!((&line["level"], &line["target"]), (&level.into(), &target.into()));
            assert_eq!(line["message"], message);
            let timestamp = line["timestamp"].as_str().unwrap();
            assert!(timestamp.len() == 27 && timestamp.ends_with('Z'), "{timestamp}");
        }
    }

    #[test]
    fn fields_named_like_other_keys_of_a_json_line_are_renamed() {
        let (message, instance) = ("from elsewhere", "broker-1");
        let lines = logged(|| error!(message, instance, level = 3, "it failed"));
        let line = &lines[0];
        assert_eq!((&line["message"], &line["field_message"]), (&"it failed".into(), &message.into()));
        assert_eq!((&line["instance"], &line["field_instance"]), (&"relay-0".into(), &instance.into()));
        assert_eq!((&line["level"], &line["field_level"]), (&"ERROR".into(), &3.into()));
    }

    #[test]
    fn a_field_that_repeats_the_process_is_not_written_twice() {
        let lines = logged(|| info!(role = %"relay", instance = "relay-0", "listening"));
        assert_eq!(lines[0].len(), 6, "{lines:?}");
    }

    #[test]
    fn numbers_are_numbers_in_json_lines() {
        let took = Duration::from_millis(1_234);
        let lines = logged(|| {
            info!(took_ms = took.as_millis(), offset = 7_u64, age = -1_i64, share = 0.5, whole = true, "done");
        });
        let line = &lines[0];
        assert_eq!((&line["took_ms"], &line["offset"], &line["age"]), (&1_234.into(), &7.into(), &(-1).into()));
        assert_eq!((&line["share"], &line["whole"]), (&0.5.into(), &true.into()));
    }

    #[test]
    fn json_lines_escape_texts_and_name_their_spans() {
        let lines = logged(|| {
            info_span!("outer", shard = 4).in_scope(|| {
                info_span!("inner").in_scope(|| info!(text = "a \"quoted\"\nline", debug = ?Some("x"), "inside"));
            });
        });
        let line = &lines[0];
        assert_eq!((&line["text"], &line["debug"]), (&"a \"quoted\"\nline".into(), &"Some(\"x\")".into()));
        assert_eq!(line["spans"], serde_json::json!([{"name": "outer", "shard": 4}, {"name": "inner"}]));
    }
}
