//! The listeners, bound before anything else: a port that is taken is a mistake of one line.

use std::net::SocketAddr;

use anyhow::bail;
use tokio::net::TcpListener;

use crate::config::{Config, Listen};

/// Everything that the process listens on.
pub(super) struct Ports {
    pub(super) grpc: Port,
    pub(super) metrics: Port,
}

/// A bound listener and its address.
pub(super) struct Port {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Ports {
    /// Binds all of them.
    ///
    /// # Errors
    /// With one line for every address that cannot be had.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let grpc = bind("gRPC", config.listen, "--listen", "DIPTYCH_LISTEN").await;
        let metrics = bind("metrics", config.metrics_listen, "--metrics", "DIPTYCH_METRICS_LISTEN").await;
        match (grpc, metrics) {
            (Ok(grpc), Ok(metrics)) => Ok(Self { grpc, metrics }),
            (Err(grpc), Err(metrics)) => bail!("{grpc}\nerror: {metrics}"),
            (Err(line), Ok(_)) | (Ok(_), Err(line)) => bail!(line),
        }
    }
}

async fn bind(what: &str, address: Listen, flag: &str, variable: &str) -> Result<Port, String> {
    let bound = async {
        let listener = TcpListener::bind(address.0).await?;
        let address = listener.local_addr()?;
        Ok(Port { listener, address })
    };
    bound.await.map_err(|error: std::io::Error| {
        let problem = match error.kind() {
            std::io::ErrorKind::AddrInUse => "the port is taken".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this user may not listen there".to_owned(),
            std::io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
            _ => error.to_string(),
        };
        format!(
            "cannot listen on {address} for {what}: {problem}; stop what uses it, or choose another address with \
             {flag} ADDRESS ({variable})"
        )
    })
}
