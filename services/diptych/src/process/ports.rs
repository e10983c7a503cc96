//! The listening ports, bound before anything else is started.

use std::{
    io::{Error, ErrorKind},
    net::SocketAddr,
};

use anyhow::bail;
use tokio::net::{TcpListener, lookup_host};

use crate::config::{Config, ListenAddress, variable};

/// Everything that the process listens on.
pub(super) struct BoundPorts {
    pub(super) grpc: BoundPort,
    pub(super) metrics: BoundPort,
}

/// A bound listener and its address.
pub(super) struct BoundPort {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl BoundPorts {
    /// Binds all of them.
    ///
    /// # Errors
    /// With one line for every address that cannot be bound.
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let grpc = bind("gRPC", &config.listen, "--listen", "listen").await;
        let metrics = bind("metrics", &config.metrics_listen, "--metrics", "metrics_listen").await;
        match (grpc, metrics) {
            (Ok(grpc), Ok(metrics)) => Ok(Self { grpc, metrics }),
            (Err(grpc), Err(metrics)) => bail!("{grpc}\nerror: {metrics}"),
            (Err(line), Ok(_)) | (Ok(_), Err(line)) => bail!(line),
        }
    }
}

/// Binds the first address of the host that can be bound.
async fn bind(what: &str, address: &ListenAddress, flag: &str, key: &str) -> Result<BoundPort, String> {
    let text = address.to_string();
    let bound = async {
        let addresses: Vec<_> = lookup_host(&text).await.map_err(BindError::Resolve)?.collect();
        let listener = TcpListener::bind(&addresses[..]).await.map_err(BindError::Bind)?;
        let address = listener.local_addr().map_err(BindError::Bind)?;
        Ok(BoundPort { listener, address })
    };
    bound.await.map_err(|error: BindError| {
        let (problem, remedy) = error.problem_and_remedy();
        let variable = variable(key);
        format!(
            "cannot listen on {text} for {what}: {problem}; {remedy}choose another address with {flag} HOST:PORT \
             ({variable})"
        )
    })
}

/// Error for an address that cannot be listened on.
enum BindError {
    Resolve(Error),
    Bind(Error),
}

impl BindError {
    fn problem_and_remedy(&self) -> (String, &'static str) {
        match self {
            Self::Resolve(error) => (format!("the host name cannot be resolved ({error})"), ""),
            Self::Bind(error) => match error.kind() {
                ErrorKind::AddrInUse => ("the port is in use".to_owned(), "stop the process that uses it, or "),
                ErrorKind::PermissionDenied => ("permission denied for this user".to_owned(), ""),
                ErrorKind::AddrNotAvailable => ("this machine does not have the address".to_owned(), ""),
                _ => (error.to_string(), ""),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_name_is_resolved() {
        let bound = bind("gRPC", &"localhost:0".parse().unwrap(), "--listen", "listen").await.ok().unwrap();
        assert!(bound.address.ip().is_loopback() && bound.address.port() > 0, "{}", bound.address);
    }

    #[tokio::test]
    async fn an_unknown_host_name_is_reported() {
        let address = "no-such-host.invalid:0".parse().unwrap();
        let line = bind("gRPC", &address, "--listen", "listen").await.err().unwrap();
        assert!(line.contains("cannot listen on no-such-host.invalid:0 for gRPC: the host name cannot be"), "{line}");
        assert!(line.ends_with("choose another address with --listen HOST:PORT (DIPTYCH_LISTEN)"), "{line}");
    }
}
