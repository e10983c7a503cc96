//! Readiness probes, each in the protocol of the server. An open port is not enough: Kafka and Cassandra listen before
//! they can answer, and the kernel accepts connections for a paused server.

mod connect;
mod cql;
mod grpc;
mod http;
mod kafka;
mod memcached;
pub(crate) mod patroni;
pub(crate) mod postgres;
mod protocol;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use self::connect::{NotReadyReason, connect};
use crate::process::Readiness;

/// Time limit of one probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Probes a process once. `log` is its log, `log_offset` the length of the log in bytes when the process started.
///
/// # Errors
/// When the process is not ready; the error contains its answer.
pub(crate) async fn probe(ready: &Readiness, log: &Path, log_offset: u64) -> Result<(), NotReadyReason> {
    let question = async {
        match ready {
            Readiness::Started | Readiness::Done => Ok(()),
            Readiness::Tcp { port } => connect(*port).await.map(|_| ()),
            Readiness::Http { port, path } => http::probe(*port, path).await,
            Readiness::Grpc { port, service } => grpc::probe(*port, service).await,
            Readiness::Line { text } => log_has_line(text, log, log_offset),
            Readiness::Postgres { port } => postgres::probe(*port).await,
            Readiness::PostgresMember { rest } => patroni::probe(*rest).await,
            Readiness::Kafka { port } => kafka::probe(*port).await,
            Readiness::Cql { port } => cql::probe(*port).await,
            Readiness::Memcached { port } => memcached::probe(*port).await,
        }
    };
    let answer = tokio::time::timeout(PROBE_TIMEOUT, question).await;
    answer.unwrap_or_else(|_| Err(format!("it did not answer within {} s", PROBE_TIMEOUT.as_secs())))
}

fn log_has_line(text: &str, log: &Path, log_offset: u64) -> Result<(), NotReadyReason> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(log_offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| format!("cannot read {}: {error}", log.display()))?;
    if String::from_utf8_lossy(&bytes).contains(text) { Ok(()) } else { Err(format!("no line with {text:?} yet")) }
}

#[cfg(test)]
mod tests;
