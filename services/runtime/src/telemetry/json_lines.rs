//! The JSON format of log lines: one object per line, each key once.

use std::{borrow::Cow, fmt};

use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::{LookupSpan, SpanRef},
};

/// The prefix of a field whose name is a key already, such as a field `message` of a line that has a message.
const CLASH_PREFIX: &str = "field_";

/// Formats each event as a JSON object: `timestamp`, `level`, the fields of the process, `target`, `message`, and the
/// fields of the event. An event inside of spans has `spans`, the outermost first. Spans are to be formatted by
/// [`JsonFields`](tracing_subscriber::fmt::format::JsonFields).
#[derive(Clone, Debug)]
pub(super) struct JsonLines {
    process: Vec<(&'static str, String)>,
}

impl JsonLines {
    /// `process` are the fields of every line, such as the role and the instance of the process.
    pub(super) fn new(process: Vec<(&'static str, String)>) -> Self {
        Self { process }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line::default();
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        line.add("timestamp", timestamp);
        line.add("level", event.metadata().level().as_str());
        for (name, value) in &self.process {
            line.add(name, value.as_str());
        }
        line.add("target", event.metadata().target());
        event.record(&mut line);
        let spans = context.event_scope().into_iter().flat_map(|scope| scope.from_root());
        let spans: Vec<Value> = spans.map(|span| span_object::<S, N>(&span)).collect();
        if !spans.is_empty() {
            line.add("spans", spans);
        }
        line.write(&mut writer)
    }
}

/// The name of a span and its fields.
fn span_object<S, N>(span: &SpanRef<'_, S>) -> Value
where
    S: for<'span> LookupSpan<'span>,
    N: 'static,
{
    let extensions = span.extensions();
    let fields = extensions.get::<FormattedFields<N>>().and_then(|fields| serde_json::from_str(&fields.fields).ok());
    let mut object: serde_json::Map<String, Value> = fields.unwrap_or_default();
    object.insert("name".to_owned(), span.name().into());
    object.into()
}

/// The keys and values of one line, each key once.
#[derive(Debug, Default)]
struct Line {
    entries: Vec<(Cow<'static, str>, Value)>,
}

impl Line {
    /// Adds an entry. If the key is taken by another value, it gets a prefix.
    fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        let (mut key, value) = (Cow::Borrowed(key), value.into());
        while let Some((_, present)) = self.entries.iter().find(|(present, _)| *present == key) {
            if *present == value {
                return;
            }
            key = Cow::Owned(format!("{CLASH_PREFIX}{key}"));
        }
        self.entries.push((key, value));
    }

    fn write(&self, writer: &mut Writer<'_>) -> fmt::Result {
        for (index, (key, value)) in self.entries.iter().enumerate() {
            let separator = if index == 0 { '{' } else { ',' };
            write!(writer, "{separator}{}:{value}", Value::from(key.as_ref()))?;
        }
        writeln!(writer, "}}")
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add(field.name(), i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add(field.name(), u64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}"));
    }
}
