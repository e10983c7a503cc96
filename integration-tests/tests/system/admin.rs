//! Administration of processes: metrics of the services, Envoy's view of its upstreams, and a flush of memcached.

use std::io;

use diptych_runtime::pause;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, Instant, timeout},
};

use crate::{
    installation::StackInstallation,
    support::{edge::WAIT_MAX, traffic::Traffic},
};

const ENVOYS: [&str; 3] = ["gateway-1", "gateway-2", "edge"];
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Waits until every Envoy reports all of its upstream instances as healthy.
pub(crate) async fn until_all_healthy(installation: &StackInstallation) {
    for envoy in ENVOYS {
        let port = installation.port(envoy, "admin");
        let is_healthy = |line: &str| line.ends_with("::health_flags::healthy");
        loop {
            let clusters = get(port, "/clusters").await.unwrap_or_default();
            let mut flags = clusters.lines().filter(|line| line.contains("::health_flags::")).peekable();
            if flags.peek().is_some() && flags.all(is_healthy) {
                break;
            }
            pause(POLL_INTERVAL).await;
        }
    }
}

/// Waits until a metric of a service, summed over its labels, meets a condition.
pub(crate) async fn until_metric(
    installation: &StackInstallation,
    process: &str,
    name: &str,
    condition: impl Fn(f64) -> bool,
) {
    while !metric(installation, process, name).await.is_some_and(&condition) {
        pause(POLL_INTERVAL).await;
    }
}

/// A metric of a service, summed over its labels; `None` if the service does not answer or has no such metric.
pub(crate) async fn metric(installation: &StackInstallation, process: &str, name: &str) -> Option<f64> {
    let text = get(installation.port(process, "metrics"), "/metrics").await.ok()?;
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = if rest.starts_with('{') { rest.rsplit_once("} ")?.1 } else { rest.strip_prefix(' ')? };
        value.trim().parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// Removes everything from memcached.
pub(crate) async fn flush_cache(installation: &StackInstallation) {
    let flush = async {
        let mut stream = TcpStream::connect(("127.0.0.1", installation.cache_port())).await.unwrap();
        stream.write_all(b"flush_all\r\n").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"OK\r\n", "memcached did not flush");
    };
    timeout(WAIT_MAX, flush).await.expect("memcached did not answer");
}

async fn get(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Waits until all instances are healthy and every caller has new successes.
pub(crate) async fn until_recovered(installation: &StackInstallation, traffic: &Traffic) {
    traffic.wait_while_correct("all instances are healthy", until_all_healthy(installation)).await;
    traffic.until_all_succeed(Instant::now()).await;
}
