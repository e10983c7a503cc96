//! `diptych envoy drain`: ends the connections of an Envoy after the calls in flight, before Envoy stops.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::process::Signals;

/// Longest wait for an answer of Envoy's administration.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Wait for SIGTERM or SIGINT, then make an Envoy ask its callers to connect elsewhere.
///
/// For a container beside Envoy, which ends at once when it is stopped: from the signal on Envoy is not ready, and ends
/// each connection after the calls in flight (HTTP/2 GOAWAY), while it still answers new calls. Whoever stops Envoy
/// waits meanwhile, as by the hook preStop of Kubernetes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of Envoy's administration.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
}

/// Waits for a signal, and drains.
pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("cannot listen for signals")?;
    println!("waiting for SIGTERM; then the Envoy at {} is drained", args.admin);
    let signal = signals.next().await;
    drain(args.admin).await?;
    println!("{signal}: the Envoy at {} ends its connections", args.admin);
    Ok(())
}

/// Makes Envoy's health check fail, which ends connections too.
async fn drain(admin: SocketAddr) -> anyhow::Result<()> {
    let request =
        format!("POST /healthcheck/fail HTTP/1.1\r\nhost: {admin}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let answer = async {
        let mut connection = TcpStream::connect(admin).await?;
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(ANSWER_TIMEOUT, answer).await;
    let answer = answer.with_context(|| format!("no answer from Envoy's administration at {admin} within 5 s"))?;
    let answer = answer.with_context(|| format!("cannot reach Envoy's administration at {admin}: see --admin"))?;
    if !answer.starts_with("HTTP/1.1 200") {
        let line = answer.lines().next().unwrap_or_default();
        bail!("Envoy's administration at {admin} answered {line:?} to POST /healthcheck/fail");
    }
    Ok(())
}
