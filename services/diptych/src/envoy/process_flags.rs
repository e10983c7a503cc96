//! Flags that edges and gateways share.

use std::{net::SocketAddr, path::PathBuf};

use diptych_envoy::{Endpoint, ProcessSettings, Tracing};

use super::files;

/// The flags of an Envoy process.
#[derive(Debug, clap::Args)]
pub(super) struct ProcessFlags {
    /// Folder to write to.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Name of the process in its access log. Default: edge or gateway.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,

    /// IP address and port to listen on for calls.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7400")]
    listen: SocketAddr,

    /// Port of Envoy's administration, always on 127.0.0.1.
    #[arg(long, value_name = "PORT", default_value_t = 9901)]
    admin_port: u16,

    /// Most open connections of callers; further ones are closed. Default: 10000.
    #[arg(long, value_name = "COUNT")]
    connections_max: Option<u32>,

    /// Most calls in flight to each service; further ones are answered UNAVAILABLE. Default: 4096.
    #[arg(long, value_name = "COUNT")]
    calls_in_flight_max: Option<u32>,

    /// Most bytes of memory; from 95 % on calls are answered UNAVAILABLE. Default: 536870912.
    #[arg(long, value_name = "COUNT")]
    heap_bytes_max: Option<u64>,

    /// OTLP collector (gRPC) that receives spans, such as collector:4317. Default: none.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    otlp: Option<Endpoint>,

    /// Of a million calls without a `traceparent`, how many are traced.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, requires = "otlp")]
    sampled_per_million: u32,
}

impl ProcessFlags {
    /// The settings, with this name where the flags have none.
    pub(super) fn settings(&self, default_name: &str) -> ProcessSettings {
        let name = self.node.as_deref().unwrap_or(default_name);
        let mut settings = ProcessSettings::new(name, self.listen.port(), self.admin_port);
        settings.listen_address = self.listen.ip().to_string();
        settings.connections_max = self.connections_max.unwrap_or(settings.connections_max);
        settings.calls_in_flight_max = self.calls_in_flight_max.unwrap_or(settings.calls_in_flight_max);
        settings.heap_bytes_max = self.heap_bytes_max.unwrap_or(settings.heap_bytes_max);
        settings.tracing = self.otlp.clone().map(|Endpoint { host, port }| Tracing {
            host,
            port,
            sampled_per_million: self.sampled_per_million,
        });
        settings
    }

    /// The path of a file in the folder, as Envoy will be given it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.to.join(name)
    }

    /// Writes a file to the folder.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        files::write(&self.path(name), bytes)
    }
}

/// Parses "host:port"; an IPv6 address is in brackets.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    let (host, port) = text.rsplit_once(':').ok_or("write host:port")?;
    let port = port.parse().map_err(|_| "write host:port, with a port of 1 to 65535")?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Ok(Endpoint::new(host, port))
}
