//! Settings of an installation. Their fields are the placeholders of the templates, and the values of a chart.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Settings of an edge.
#[derive(Clone, Debug, Serialize)]
pub struct EdgeSettings {
    /// Settings of the process.
    #[serde(flatten)]
    pub process: ProcessSettings,
    /// Addresses of the gateways. At least one.
    pub gateways: Vec<Endpoint>,
    /// Request headers that are removed from every call, in lower case. Default none. With `traceparent` and
    /// `tracestate`, callers can neither join traces nor decide which calls are traced: for an edge that is reachable
    /// from untrusted networks.
    pub headers_dropped: Vec<String>,
}

/// Settings of a gateway.
#[derive(Clone, Debug, Serialize)]
pub struct GatewaySettings {
    /// Settings of the process.
    #[serde(flatten)]
    pub process: ProcessSettings,
    /// Addresses of the command service. At least one.
    pub commands: Vec<Endpoint>,
    /// Addresses of the query service. At least one.
    pub queries: Vec<Endpoint>,
    /// Verification of callers' tokens.
    #[serde(flatten)]
    pub jwt: JwtSettings,
    /// Origins of web pages that may call, such as `https://app.example`: scheme, host and port, no path. Default none.
    pub cors_origins: Vec<String>,
    /// Path of a file that contains [`crate::DESCRIPTOR_SET`].
    pub descriptor_set_file: String,
    /// Maximum duration of a unary call; a caller's deadline (`grpc-timeout`) counts if it is earlier. Default 32 s, a
    /// little more than the services' own limit, so that their more specific error comes first. At least 1 ms.
    #[serde(serialize_with = "as_seconds")]
    pub call_duration_max: Duration,
    /// Maximum size of a unary request, in bytes. Default 1 MiB and 64 KiB, a little more than the services' own limit.
    /// 64 KiB to 16 MiB.
    pub request_bytes_max: u32,
    /// Maximum rate of calls through this gateway, per second, of all callers; a stream counts once. Default 10,000. At
    /// least 1.
    pub calls_per_second_max: u32,
    /// Maximum number of calls in one burst after a pause. Default 10,000. At least `calls_per_second_max`.
    pub calls_burst_max: u32,
}

/// Settings of one Envoy process, edge or gateway.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessSettings {
    /// Name of the process in logs, such as `gateway-0`: letters, digits, `.`, `_`, `-`.
    pub node_id: String,
    /// IP address to listen on for calls. Default 127.0.0.1.
    pub listen_address: String,
    /// Port to listen on for calls. 0 takes a free one; `/listeners` on the admin port shows it.
    pub listen_port: u16,
    /// Admin port, always on 127.0.0.1. 0 takes a free one; Envoy's `--admin-address-path` shows it.
    pub admin_port: u16,
    /// File of the access log, which has a line for every call. Default `/dev/stdout`.
    pub access_log_file: String,
    /// Maximum number of open downstream connections. Further ones are closed. Default 10,000. At least 1.
    pub connections_max: u32,
    /// Maximum number of calls in flight to each upstream service. Further ones are answered UNAVAILABLE. Default
    /// 4,096. At least 1.
    pub calls_in_flight_max: u32,
    /// Maximum heap size of the process, in bytes: from 95 % on, calls are answered UNAVAILABLE. Default 512 MiB. At
    /// least 64 MiB.
    pub heap_bytes_max: u64,
    /// Idle time after which a call is ended. The only time limit of a stream. Default 5 min. At least 1 ms.
    #[serde(serialize_with = "as_seconds")]
    pub stream_idle_timeout: Duration,
    /// Interval of health checks of each upstream instance. Default 2 s. At least 1 ms.
    #[serde(serialize_with = "as_seconds")]
    pub health_check_interval: Duration,
    /// Export of spans. Default none; callers' trace context is passed on all the same.
    pub tracing: Option<Tracing>,
}

/// Address of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// An IP address, or a host name; every address of the name is one instance.
    pub host: String,
    /// The port. At least 1.
    pub port: u16,
}

/// Requirements on callers' tokens. Tokens are JSON Web Tokens with the claims `iss`, `aud`, `exp` and `scope` (see
/// [`crate::scope`]).
#[derive(Clone, Debug, Serialize)]
pub struct JwtSettings {
    /// Required value of `iss`.
    pub jwt_issuer: String,
    /// Required value of `aud`, or of one of its elements.
    pub jwt_audience: String,
    /// Keys that verify signatures.
    pub jwks: Jwks,
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Clone, Debug, Serialize)]
pub enum Jwks {
    /// The key set itself.
    #[serde(rename = "inline_string")]
    Inline(String),
    /// Path of a file with the key set, which is read when Envoy starts.
    #[serde(rename = "filename")]
    File(String),
}

/// Export of spans.
#[derive(Clone, Debug, Serialize)]
pub struct Tracing {
    /// IP address or host name of an OTLP collector.
    pub host: String,
    /// Its gRPC port, usually 4317. At least 1.
    pub port: u16,
    /// Out of a million calls without a `traceparent`, how many are traced: 0 to 1,000,000. A call with a `traceparent`
    /// is traced if its flags say so.
    pub sampled_per_million: u32,
}

impl EdgeSettings {
    /// An edge in front of these gateways, with the defaults of the other fields.
    #[must_use]
    pub fn new(process: ProcessSettings, gateways: Vec<Endpoint>) -> Self {
        Self { process, gateways, headers_dropped: Vec::new() }
    }
}

impl GatewaySettings {
    /// A gateway in front of these services, with the defaults of the other fields.
    #[must_use]
    pub fn new(
        process: ProcessSettings,
        commands: Vec<Endpoint>,
        queries: Vec<Endpoint>,
        jwt: JwtSettings,
        descriptor_set_file: impl Into<String>,
    ) -> Self {
        Self {
            process,
            commands,
            queries,
            jwt,
            cors_origins: Vec::new(),
            descriptor_set_file: descriptor_set_file.into(),
            call_duration_max: Duration::from_secs(32),
            request_bytes_max: 1024 * 1024 + 64 * 1024,
            calls_per_second_max: 10_000,
            calls_burst_max: 10_000,
        }
    }
}

impl ProcessSettings {
    /// A process with this name on these ports of 127.0.0.1, with the defaults of the other fields.
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
    /// The address of this host and port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

/// Serializes a duration in Envoy's format, such as `0.250s`.
fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}.{:03}s", duration.as_secs(), duration.subsec_millis()))
}
