//! Errors that say what listens at an address that is not one of gRPC.

use std::time::Duration;

use anyhow::anyhow;

use super::{
    address::{Address, DEFAULT_URL},
    protocol::{self, Protocol},
};

/// Time to wait for the first bytes of a server, which a slow one must send within it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds out why a call failed without an answer. Succeeds if a server of HTTP/2 listens at the address: then the
/// failure was temporary.
///
/// # Errors
/// An error for the user: what listens at the address, and what to do.
pub(super) async fn diagnose(address: &Address) -> anyhow::Result<()> {
    let found = match protocol::identify(&address.host_and_port(), ANSWER_TIMEOUT).await {
        Ok(Protocol::Http2) => return Ok(()),
        Ok(Protocol::Http1) => HTTP_WITHOUT_GRPC.to_owned(),
        Ok(Protocol::Tls) => "expects TLS, which `diptych` does not support".to_owned(),
        Ok(Protocol::Closed) => {
            format!(
                "accepts connections and closes them without an answer: it is not a gRPC server, or expects TLS; \
                 {TEMPORARY_CAUSES}"
            )
        }
        Ok(Protocol::Silent) => {
            let seconds = ANSWER_TIMEOUT.as_secs();
            format!(
                "accepts connections, but sent nothing for {seconds} s: it is not a gRPC server, or hangs; \
                 {TEMPORARY_CAUSES}"
            )
        }
        Ok(Protocol::Other(line)) => format!("answers {line:?}: it is not a gRPC server"),
        Err(error) => return Err(address.unreachable(&error)),
    };
    Err(no_grpc(address, &found))
}

/// The error for the user if a server of HTTP answers that does not speak gRPC.
pub(super) fn http_without_grpc(address: &Address) -> anyhow::Error {
    no_grpc(address, HTTP_WITHOUT_GRPC)
}

/// Causes that pass: a gRPC server at its connection limit does not accept further connections, but the kernel does.
const TEMPORARY_CAUSES: &str = "or it has reached its connection limit (grpc.connections_max), or is a proxy without a reachable backend: try again";
const HTTP_WITHOUT_GRPC: &str = "speaks HTTP, but not gRPC: is this the metrics address?";

fn no_grpc(address: &Address, found: &str) -> anyhow::Error {
    let flag = address.flag;
    anyhow!("{address} {found}\nGive the gRPC address with {flag} URL; that of `diptych dev` is {DEFAULT_URL}")
}
