//! What differs between installations. The fields are the placeholders of the templates, and the values of a chart.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{RenderError, check, template};

const EDGE: &str = include_str!("../templates/edge.yaml");
const GATEWAY: &str = include_str!("../templates/gateway.yaml");

/// The settings of an edge.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeSettings {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Where the gateways are. At least one.
    pub gateways: Vec<Endpoint>,
    /// Headers that are taken away from every call, in lower case. Default none. With `traceparent` and `tracestate` in it callers can
    /// neither join traces nor decide which calls are traced: for an edge that strangers reach.
    pub headers_dropped: Vec<String>,
}

/// The settings of a gateway.
#[derive(Clone, Debug, Serialize)]
pub struct GatewaySettings {
    /// The process.
    #[serde(flatten)]
    pub process: Process,
    /// Where the command service is. At least one.
    pub commands: Vec<Endpoint>,
    /// Where the query service is. At least one.
    pub queries: Vec<Endpoint>,
    /// Who may call.
    #[serde(flatten)]
    pub identity: Identity,
    /// Web pages that may call, such as `https://app.example`: scheme, host and port, no path. Default none.
    pub cors_origins: Vec<String>,
    /// A file that holds [`crate::DESCRIPTOR_SET`].
    pub descriptor_set_file: String,
    /// How long a unary call may take; a caller's own deadline (`grpc-timeout`) counts where it is earlier. Default 32 s, a little more
    /// than the services themselves allow, so that their answer, which knows more, comes first. At least 1 ms.
    #[serde(serialize_with = "as_seconds")]
    pub call_duration_max: Duration,
    /// How large a unary request may be, in bytes. Default 1 MiB and 64 KiB, a little more than the services themselves allow.
    /// 64 KiB to 16 MiB.
    pub request_bytes_max: u32,
    /// How many calls this gateway lets through per second, over all callers; a stream counts once. Default 10,000. At least 1.
    pub calls_per_second_max: u32,
    /// How many of them at once after a pause. Default 10,000. At least `calls_per_second_max`.
    pub calls_burst_max: u32,
}

/// The settings of one Envoy process, of either kind.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// The name of the process in logs, such as `gateway-0`: letters, digits, `.`, `_`, `-`.
    pub node_id: String,
    /// The address calls are taken on, an IP address. Default 127.0.0.1.
    pub listen_address: String,
    /// The port calls are taken on. 0 takes a free one, which `/listeners` on the admin port tells.
    pub listen_port: u16,
    /// The port of the administration, on 127.0.0.1 always. 0 takes a free one, which Envoy's `--admin-address-path` tells.
    pub admin_port: u16,
    /// The file that a line is written to for every call. Default `/dev/stdout`.
    pub access_log_file: String,
    /// How many callers' connections are open at once. Further ones are closed. Default 10,000. At least 1.
    pub connections_max: u32,
    /// How many calls to each service behind it are under way at once. Further ones are answered UNAVAILABLE. Default 4,096. At least 1.
    pub calls_in_flight_max: u32,
    /// How much memory the process may use, in bytes: from 95 % on, calls are answered UNAVAILABLE. Default 512 MiB. At least 64 MiB.
    pub heap_bytes_max: u64,
    /// How long a call may stand still before it is ended. The only limit in time of a stream. Default 5 min. At least 1 ms.
    #[serde(serialize_with = "as_seconds")]
    pub stream_idle_timeout: Duration,
    /// How often each instance behind it is asked whether it is ready. Default 2 s. At least 1 ms.
    #[serde(serialize_with = "as_seconds")]
    pub health_check_interval: Duration,
    /// Where spans go. Default nowhere; callers' trace context is passed on all the same.
    pub tracing: Option<Tracing>,
}

/// Where something is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// An IP address, or a name; every address of the name is one instance.
    pub host: String,
    /// The port. At least 1.
    pub port: u16,
}

/// Whose tokens are accepted. They are JSON Web Tokens with the claims `iss`, `aud`, `exp` and `scope` (see [`crate::scope`]).
#[derive(Clone, Debug, Serialize)]
pub struct Identity {
    /// What `iss` must be.
    pub jwt_issuer: String,
    /// What `aud` must be, or hold.
    pub jwt_audience: String,
    /// The keys that verify signatures.
    pub jwks: Jwks,
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Clone, Debug, Serialize)]
pub enum Jwks {
    /// The set itself.
    #[serde(rename = "inline_string")]
    Inline(String),
    /// A file with the set, which is read when Envoy starts.
    #[serde(rename = "filename")]
    File(String),
}

/// Where spans go.
#[derive(Clone, Debug, Serialize)]
pub struct Tracing {
    /// An OTLP collector: an IP address or a name.
    pub host: String,
    /// Its gRPC port, usually 4317. At least 1.
    pub port: u16,
    /// How many of a million calls that come without a `traceparent` are traced: 0 to 1,000,000. One that comes with it is traced where it
    /// says so.
    pub sampled_per_million: u32,
}

impl EdgeSettings {
    /// An edge over these gateways, else as the fields say.
    #[must_use]
    pub fn new(process: Process, gateways: Vec<Endpoint>) -> Self {
        Self { process, gateways, headers_dropped: Vec::new() }
    }

    /// The configuration, as Envoy reads it with `-c`.
    ///
    /// # Errors
    /// When a value is outside what its field allows.
    pub fn render(&self) -> Result<String, RenderError> {
        check::edge(self)?;
        render(EDGE, self)
    }
}

impl GatewaySettings {
    /// A gateway to these services, else as the fields say.
    #[must_use]
    pub fn new(
        process: Process,
        commands: Vec<Endpoint>,
        queries: Vec<Endpoint>,
        identity: Identity,
        descriptor_set_file: impl Into<String>,
    ) -> Self {
        Self {
            process,
            commands,
            queries,
            identity,
            cors_origins: Vec::new(),
            descriptor_set_file: descriptor_set_file.into(),
            call_duration_max: Duration::from_secs(32),
            request_bytes_max: 1024 * 1024 + 64 * 1024,
            calls_per_second_max: 10_000,
            calls_burst_max: 10_000,
        }
    }

    /// The configuration, as Envoy reads it with `-c`.
    ///
    /// # Errors
    /// When a value is outside what its field allows.
    pub fn render(&self) -> Result<String, RenderError> {
        check::gateway(self)?;
        render(GATEWAY, self)
    }
}

impl Process {
    /// A process with this name on these ports of 127.0.0.1, else as the fields say.
    #[must_use]
    pub fn new(node_id: impl Into<String>, listen_port: u16, admin_port: u16) -> Self {
        Self {
            node_id: node_id.into(),
            listen_address: "127.0.0.1".to_owned(),
            listen_port,
            admin_port,
            access_log_file: "/dev/stdout".to_owned(),
            connections_max: 10_000,
            calls_in_flight_max: 4_096,
            heap_bytes_max: 512 * 1024 * 1024,
            stream_idle_timeout: Duration::from_secs(300),
            health_check_interval: Duration::from_secs(2),
            tracing: None,
        }
    }
}

impl Endpoint {
    /// This host and port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

fn render(text: &str, settings: &impl Serialize) -> Result<String, RenderError> {
    let unfit = |problem: String| RenderError::Setting { setting: "a setting".to_owned(), problem };
    match serde_json::to_value(settings) {
        Ok(Value::Object(settings)) => template::render(text, &settings),
        Ok(_) => Err(unfit("is not part of a struct".to_owned())),
        Err(error) => Err(unfit(format!("cannot be written as JSON: {error}"))),
    }
}

/// As Envoy reads durations: `0.25s`.
fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}.{:03}s", duration.as_secs(), duration.subsec_millis()))
}
