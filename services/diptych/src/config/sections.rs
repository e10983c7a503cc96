//! The sections of settings for the services. Defaults are those of the parts that they configure.

use std::time::Duration;

use diptych_command::{QueueingConfig, SequencerConfig};
use diptych_projector::ProjectorConfig;
use diptych_query::QueryConfig;
use diptych_relay::RelayConfig;
use diptych_runtime::{
    grpc::Limits,
    telemetry::{LogFormat, LogSettings, TraceSettings},
    trace::Systems,
};

use super::{
    declare::settings,
    values::{ByteSize, Count, LogFilter, OtlpEndpoint, PartValue, Ratio, TimeSpan, choices},
};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

settings! {
    /// Logs, on standard error.
    pub(crate) struct LogSection {
        /// Filter of log lines, in the syntax of RUST_LOG, such as "info,diptych_relay=debug".
        filter: LogFilter = LogFilter::known("info"),
        /// Form of log lines: text, json, or auto for text on a terminal and json otherwise.
        format: LineFormat = LineFormat::Auto,
    }
}

choices! {
    /// Form of log lines.
    pub(crate) enum LineFormat for LogFormat {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// Text for people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

settings! {
    /// Export of traces. See [`TraceSettings`].
    pub(crate) struct TelemetrySection for (TraceSettings = TraceSettings::new("", "")) {
        /// URL of the OTLP collector (gRPC) that receives traces, such as "http://127.0.0.1:4317"; empty exports none.
        otlp_endpoint: OtlpEndpoint = OtlpEndpoint::default(),
        /// Service name in traces; auto is "diptych-" and the role.
        service_name: String = "auto".to_owned(),
        /// Share of traces exported, of those that begin here; for others the caller's `traceparent` decides.
        sampling_ratio: Ratio = Ratio::ONE,
        /// Longest time between two exports.
        export_interval: TimeSpan<100, MINUTE>,
        /// Longest time for one export with its retries, after which its spans are dropped.
        export_timeout: TimeSpan<100, { 10 * MINUTE }>,
    }
}

settings! {
    /// Limits of the gRPC server. See [`Limits`].
    pub(crate) struct GrpcSection for (Limits = Limits::default()) {
        /// Largest message that a client may send.
        message_received_max: ByteSize<KIB, { 4 * MIB }> as message_received_bytes_max,
        /// Largest message that is sent to a client.
        message_sent_max: ByteSize<KIB, { 16 * MIB }> as message_sent_bytes_max,
        /// Most connections open at once; more wait to be accepted.
        connections_max: Count<1, 65_536>,
        /// Most calls open on one connection; more wait in the client.
        calls_per_connection_max: Count<1, 65_536>,
        /// Most calls worked on at once, over all connections; more are answered OVERLOADED.
        calls_in_flight_max: Count<1, 1_000_000>,
        /// Longest time until a call's first answer; an earlier deadline of the client applies first.
        call_duration_max: TimeSpan<100, { 10 * MINUTE }>,
        /// Time without traffic after which a connection is checked by a keepalive ping.
        keepalive_interval: TimeSpan<SECOND, { 60 * MINUTE }>,
        /// Longest wait for the answer to a keepalive ping before the connection is closed.
        keepalive_timeout: TimeSpan<SECOND, { 10 * MINUTE }>,
        /// Age at which a connection is asked to close, so that clients spread over new servers; open calls finish.
        connection_age_max: TimeSpan<SECOND, { 30 * DAY }>,
    }
}

settings! {
    /// Write path: deciding and committing commands. See [`SequencerConfig`].
    pub(crate) struct CommandSection for (SequencerConfig = SequencerConfig::default()) {
        /// Most commands waiting to be decided; more are answered OVERLOADED.
        queue_commands_max: Count<1, 1_048_576>,
        /// Most commands decided and committed together.
        batch_commands_max: Count<1, 1_048_576>,
        /// Most events committed together.
        batch_events_max: Count<1_024, 1_048_575>,
        /// Most stream states cached between batches; the least recently used go first.
        cached_states_max: Count<1, 10_000_000>,
        /// Number of events of a stream after which a snapshot of its state is stored.
        snapshot_every_events: Count<1, 1_000_000>,
        /// Most retries of a batch after version conflicts with other processes; then its commands fail with
        /// CONTENTION.
        conflict_retries_max: Count<0, 1_000>,
        /// Longest time to commit a batch, retries included; then its commands fail.
        commit_timeout: TimeSpan<10, { 10 * MINUTE }>,
        /// Time for which a request id is remembered, so that repeating its command has no second effect.
        pub(crate) request_id_retention: TimeSpan<MINUTE, { 3_650 * DAY }> =
            TimeSpan::clamped(Duration::from_millis(30 * DAY)),
    }
}

settings! {
    /// Queue of commands: what callers allow to be queued while the write database does not answer. See
    /// [`QueueingConfig`].
    pub(crate) struct CommandQueueSection for (QueueingConfig = QueueingConfig::new("")) {
        /// Time without a successful call after which the write database counts as down.
        open_after: TimeSpan<100, MINUTE>,
        /// Most commands without an outcome in the queue; more are answered OVERLOADED.
        commands_max: Count<1, 10_000_000>,
        /// Largest size of the commands without an outcome in the queue; more are answered OVERLOADED.
        size_max: ByteSize<KIB, { 64 * 1_024 * MIB }> as bytes_max,
        /// Time after which a queued command expires where its caller names none.
        expiry_default: TimeSpan<SECOND, { 7 * DAY }>,
        /// Longest time after which a queued command may expire.
        expiry_max: TimeSpan<SECOND, { 7 * DAY }>,
        /// Most queued commands that are executed each second once the write database is back.
        drain_commands_per_second_max: Count<1, 1_000_000>,
        /// Longest time that an append to the queue may take.
        append_timeout: TimeSpan<10, MINUTE>,
        /// Time after which another process executes the queue if the one that did has died.
        lease_duration: TimeSpan<SECOND, { 10 * MINUTE }>,
    }
}

settings! {
    /// Relay: from the write database to the event log. See [`RelayConfig`].
    pub(crate) struct RelaySection for (RelayConfig = RelayConfig::new("")) {
        /// Time that leadership lasts without renewal; a standby relay takes over after it, and so does a relay that is
        /// restarted after a crash.
        lease_duration: TimeSpan<SECOND, { 10 * MINUTE }>,
        /// Most events read and published at once.
        read_events_max: Count<1, 100_000>,
        /// Time that a partition is idle before it gets a watermark record; the intervals of further ones double.
        idle_before_watermark: TimeSpan<10, MINUTE>,
        /// Longest interval of watermark records of an idle partition; answers may say that they are complete up to a
        /// time that lies as far back.
        watermark_interval_max: TimeSpan<10, MINUTE>,
    }
}

settings! {
    /// Projector: from the event log to the views. See [`ProjectorConfig`].
    pub(crate) struct ProjectorSection for (ProjectorConfig = ProjectorConfig::new("", "")) {
        /// Most records taken from the event log at once.
        batch_records_max: Count<1, 100_000>,
        /// Most view rows kept in memory, over all views and partitions.
        hot_rows_max: Count<1, 10_000_000>,
        /// Most parked streams of a partition in a view; with more, the partition halts.
        parked_streams_max: Count<1, 1_000_000>,
        /// Interval of retries of parked streams and blocked views; doubles with every failure, up to 32 times.
        park_retry_interval: TimeSpan<100, DAY>,
        /// Longest time between announcing progress through the cache and saving it; 0ms saves it with every batch.
        progress_interval: TimeSpan<0, SECOND>,
    }
}

settings! {
    /// Query path. See [`QueryConfig`].
    pub(crate) struct QuerySection for (QueryConfig = QueryConfig::default()) {
        /// Longest time for a call that has no deadline of its own.
        call_timeout_default: TimeSpan<1, { 10 * MINUTE }>,
        /// Longest time for any call, whatever its deadline.
        call_timeout_max: TimeSpan<1, { 10 * MINUTE }>,
        /// Most calls waiting for progress at once; more are refused.
        pending_waits_max: Count<1, 1_000_000>,
        /// Most reads of the read database in flight at once; more are refused.
        pending_reads_max: Count<1, 1_000_000>,
        /// Longest time that a cached row may be behind its view's progress before it is read again.
        cached_age_max: TimeSpan<10, DAY>,
        /// Interval at which progress is read when no change is signalled.
        progress_poll_interval: TimeSpan<1, MINUTE>,
        /// The same while a call waits for progress and the cache announces none.
        progress_poll_interval_while_waiting: TimeSpan<1, MINUTE>,
        /// Interval at which the cache is polled for announced progress while a call waits.
        announcement_poll_interval: TimeSpan<1, SECOND>,
    }
}

settings! {
    /// The cache of `diptych dev`, in front of the views.
    pub(crate) struct CacheSection {
        /// Most bytes of rows that it holds.
        pub(crate) size_max: ByteSize<{ 64 * KIB }, { 64 * 1_024 * MIB }> =
            ByteSize::clamped(diptych_embedded::CACHE_BYTES_DEFAULT),
    }
}

/// Log targets that are off unless the filter names them: the driver logs every retry; the adapter logs what matters.
const DRIVERS_OFF: &str = "scylla=off";

impl LogSection {
    /// The settings for a process with these fields in every JSON line.
    pub(crate) fn settings(&self, process: Vec<(&'static str, String)>) -> LogSettings {
        // A later directive for the same target wins.
        let filter = format!("{DRIVERS_OFF},{}", self.filter);
        LogSettings { filter, format: self.format.to_part(), process }
    }
}

impl TelemetrySection {
    /// Returns the settings of the trace export of a process in this role, beside these systems; `None` if it exports
    /// no traces.
    pub(crate) fn traces(&self, role: &str, systems: Systems) -> Option<TraceSettings> {
        let service_name = match self.service_name.as_str() {
            "auto" => format!("diptych-{role}"),
            name => name.to_owned(),
        };
        let endpoint = self.otlp_endpoint.to_string();
        let sampling_ratio = self.sampling_ratio.f64();
        (!endpoint.is_empty()).then(|| TraceSettings { endpoint, service_name, sampling_ratio, systems, ..self.part() })
    }
}

impl CommandQueueSection {
    /// The configuration of a process with this name.
    pub(crate) fn named(&self, instance: &str) -> QueueingConfig {
        QueueingConfig { instance: instance.to_owned(), ..self.part() }
    }
}

impl RelaySection {
    /// The configuration of a relay with this name.
    pub(crate) fn named(&self, instance: &str) -> RelayConfig {
        RelayConfig { instance: instance.to_owned(), ..self.part() }
    }
}

impl ProjectorSection {
    /// The configuration of a projector with this name in this consumer group.
    pub(crate) fn named(&self, group: &str, member: &str) -> ProjectorConfig {
        ProjectorConfig { group: group.to_owned(), member: member.to_owned(), ..self.part() }
    }
}
