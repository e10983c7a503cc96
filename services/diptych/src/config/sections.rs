//! The groups of settings. Their defaults are those of the parts that they set.

use std::time::Duration;

use diptych_command::SequencerConfig;
use diptych_projector::ProjectorConfig;
use diptych_query::QueryConfig;
use diptych_relay::RelayConfig;
use diptych_runtime::{
    grpc::Limits,
    telemetry::{LogFormat, LogSettings, TraceSettings},
    trace::Systems,
};
use serde::{Deserialize, Serialize};

use super::{Count, Share, Size, Span};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

/// Logs, on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// What is logged, in the form of RUST_LOG.
    pub(crate) filter: String,
    /// How it looks.
    pub(crate) format: Format,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Traces. See [`TraceSettings`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Telemetry {
    /// The collector, by OTLP over gRPC: "http://127.0.0.1:4317". Empty where traces go nowhere.
    pub(super) otlp_endpoint: String,
    /// What the process is called in traces; "auto" is "diptych-" and the role.
    service_name: String,
    /// Which share of the traces that begin here is exported; of others their caller says.
    sampling_ratio: Share,
    export_interval: Span<100, MINUTE>,
    export_timeout: Span<100, { 10 * MINUTE }>,
}

/// The gRPC server. See [`Limits`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grpc {
    message_received_max: Size<KIB, { 4 * MIB }>,
    message_sent_max: Size<KIB, { 16 * MIB }>,
    connections_max: Count<1, 65_536>,
    calls_per_connection_max: Count<1, 65_536>,
    calls_in_flight_max: Count<1, 1_000_000>,
    call_duration_max: Span<100, { 10 * MINUTE }>,
    keepalive_interval: Span<SECOND, { 60 * MINUTE }>,
    keepalive_timeout: Span<SECOND, { 10 * MINUTE }>,
    connection_age_max: Span<SECOND, { 30 * DAY }>,
}

/// The write path. See [`SequencerConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    queue_commands_max: Count<1, 1_048_576>,
    batch_commands_max: Count<1, 1_048_576>,
    batch_events_max: Count<1_024, 1_048_575>,
    cached_states_max: Count<1, 10_000_000>,
    snapshot_every_events: Count<1, 1_000_000>,
    conflict_retries_max: Count<0, 1_000>,
    commit_timeout: Span<10, { 10 * MINUTE }>,
    /// How long a request id is known, and its command not done a second time.
    pub(crate) request_ids_kept: Span<MINUTE, { 3_650 * DAY }>,
}

/// From the write database to the log. See [`RelayConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relay {
    lease_duration: Span<SECOND, { 10 * MINUTE }>,
    read_events_max: Count<1, 100_000>,
    idle_before_watermark: Span<10, MINUTE>,
}

/// From the log to the views. See [`ProjectorConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Projector {
    batch_records_max: Count<1, 100_000>,
    hot_rows_max: Count<1, 10_000_000>,
    parked_streams_max: Count<1, 1_000_000>,
    park_retry_interval: Span<100, DAY>,
    progress_interval: Span<0, SECOND>,
}

/// The query path. See [`QueryConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    wait_default: Span<1, { 10 * MINUTE }>,
    wait_max: Span<1, { 10 * MINUTE }>,
    pending_waits_max: Count<1, 1_000_000>,
    pending_reads_max: Count<1, 1_000_000>,
    cached_age_max: Span<10, DAY>,
    progress_poll_interval: Span<1, MINUTE>,
    progress_poll_interval_while_waiting: Span<1, MINUTE>,
    announcement_poll_interval: Span<1, SECOND>,
}

/// The cache in front of the views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cache {
    /// How many bytes of rows it may hold.
    pub(crate) size_max: Size<{ 64 * KIB }, { 64 * 1_024 * MIB }>,
}

/// What is told of drivers by their own names: nothing, unless it is asked for. They tell of every try; the adapters tell what matters.
const QUIET_DRIVERS: &str = "scylla=off";

impl Log {
    /// The settings for a process with these fields in every JSON line.
    pub(crate) fn settings(&self, process: Vec<(&'static str, String)>) -> LogSettings {
        // A directive for the same target that was given comes later, and wins.
        let filter = format!("{QUIET_DRIVERS},{}", self.filter);
        LogSettings { filter, format: self.format.into(), process }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: Format::Auto }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        let traces = TraceSettings::new("", "");
        Self {
            otlp_endpoint: String::new(),
            service_name: "auto".to_owned(),
            sampling_ratio: Share::WHOLE,
            export_interval: Span::near(traces.export_interval),
            export_timeout: Span::near(traces.export_timeout),
        }
    }
}

impl Telemetry {
    /// How a process in this role, beside these systems, exports its traces; `None` where it does not.
    pub(crate) fn traces(&self, role: &str, systems: Systems) -> Option<TraceSettings> {
        let service_name = match self.service_name.as_str() {
            "auto" => format!("diptych-{role}"),
            name => name.to_owned(),
        };
        (!self.otlp_endpoint.is_empty()).then(|| TraceSettings {
            sampling_ratio: self.sampling_ratio.f64(),
            export_interval: self.export_interval.duration(),
            export_timeout: self.export_timeout.duration(),
            systems,
            ..TraceSettings::new(self.otlp_endpoint.clone(), service_name)
        })
    }
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Auto => Self::Auto,
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            message_received_max: Size::near(limits.message_received_bytes_max),
            message_sent_max: Size::near(limits.message_sent_bytes_max),
            connections_max: Count::near(limits.connections_max),
            calls_per_connection_max: Count::near(
                usize::try_from(limits.calls_per_connection_max).unwrap_or(usize::MAX),
            ),
            calls_in_flight_max: Count::near(limits.calls_in_flight_max),
            call_duration_max: Span::near(limits.call_duration_max),
            keepalive_interval: Span::near(limits.keepalive_interval),
            keepalive_timeout: Span::near(limits.keepalive_timeout),
            connection_age_max: Span::near(limits.connection_age_max),
        }
    }
}

impl From<&Grpc> for Limits {
    fn from(grpc: &Grpc) -> Self {
        Self {
            message_received_bytes_max: grpc.message_received_max.usize(),
            message_sent_bytes_max: grpc.message_sent_max.usize(),
            connections_max: grpc.connections_max.usize(),
            calls_per_connection_max: grpc.calls_per_connection_max.u32(),
            calls_in_flight_max: grpc.calls_in_flight_max.usize(),
            call_duration_max: grpc.call_duration_max.duration(),
            keepalive_interval: grpc.keepalive_interval.duration(),
            keepalive_timeout: grpc.keepalive_timeout.duration(),
            connection_age_max: grpc.connection_age_max.duration(),
        }
    }
}

impl Default for Command {
    fn default() -> Self {
        let sequencer = SequencerConfig::default();
        Self {
            queue_commands_max: Count::near(sequencer.queue_commands_max),
            batch_commands_max: Count::near(sequencer.batch_commands_max),
            batch_events_max: Count::near(sequencer.batch_events_max),
            cached_states_max: Count::near(sequencer.cached_states_max),
            snapshot_every_events: Count::near(sequencer.snapshot_every_events),
            conflict_retries_max: Count::near(sequencer.conflict_retries_max),
            commit_timeout: Span::near(sequencer.commit_timeout),
            request_ids_kept: Span::near(Duration::from_millis(30 * DAY)),
        }
    }
}

impl From<&Command> for SequencerConfig {
    fn from(command: &Command) -> Self {
        Self {
            queue_commands_max: command.queue_commands_max.usize(),
            batch_commands_max: command.batch_commands_max.usize(),
            batch_events_max: command.batch_events_max.usize(),
            cached_states_max: command.cached_states_max.usize(),
            snapshot_every_events: command.snapshot_every_events.usize(),
            conflict_retries_max: command.conflict_retries_max.usize(),
            commit_timeout: command.commit_timeout.duration(),
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        let relay = RelayConfig::new("");
        Self {
            lease_duration: Span::near(relay.lease_duration),
            read_events_max: Count::near(relay.read_events_max),
            idle_before_watermark: Span::near(relay.idle_before_watermark),
        }
    }
}

impl Relay {
    /// The settings of a relay with this name.
    pub(crate) fn named(&self, owner: &str) -> RelayConfig {
        RelayConfig {
            lease_duration: self.lease_duration.duration(),
            read_events_max: self.read_events_max.usize(),
            idle_before_watermark: self.idle_before_watermark.duration(),
            ..RelayConfig::new(owner)
        }
    }
}

impl Default for Projector {
    fn default() -> Self {
        let projector = ProjectorConfig::new("", "");
        Self {
            batch_records_max: Count::near(projector.batch_records_max),
            hot_rows_max: Count::near(projector.hot_rows_max),
            parked_streams_max: Count::near(projector.parked_streams_max),
            park_retry_interval: Span::near(projector.park_retry_interval),
            progress_interval: Span::near(projector.progress_interval),
        }
    }
}

impl Projector {
    /// The settings of a projector with this name in this group.
    pub(crate) fn named(&self, group: &str, member: &str) -> ProjectorConfig {
        ProjectorConfig {
            batch_records_max: self.batch_records_max.usize(),
            hot_rows_max: self.hot_rows_max.usize(),
            parked_streams_max: self.parked_streams_max.usize(),
            park_retry_interval: self.park_retry_interval.duration(),
            progress_interval: self.progress_interval.duration(),
            ..ProjectorConfig::new(group, member)
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        let query = QueryConfig::default();
        Self {
            wait_default: Span::near(query.wait_default),
            wait_max: Span::near(query.wait_max),
            pending_waits_max: Count::near(query.pending_waits_max),
            pending_reads_max: Count::near(query.pending_reads_max),
            cached_age_max: Span::near(query.cached_age_max),
            progress_poll_interval: Span::near(query.progress_poll_interval),
            progress_poll_interval_while_waiting: Span::near(query.progress_poll_interval_while_waiting),
            announcement_poll_interval: Span::near(query.announcement_poll_interval),
        }
    }
}

impl From<&Query> for QueryConfig {
    fn from(query: &Query) -> Self {
        Self {
            wait_default: query.wait_default.duration(),
            wait_max: query.wait_max.duration(),
            pending_waits_max: query.pending_waits_max.usize(),
            pending_reads_max: query.pending_reads_max.usize(),
            cached_age_max: query.cached_age_max.duration(),
            progress_poll_interval: query.progress_poll_interval.duration(),
            progress_poll_interval_while_waiting: query.progress_poll_interval_while_waiting.duration(),
            announcement_poll_interval: query.announcement_poll_interval.duration(),
            ..Self::default()
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { size_max: Size::near(usize::try_from(diptych_embedded::CACHE_BYTES_DEFAULT).unwrap_or(usize::MAX)) }
    }
}
