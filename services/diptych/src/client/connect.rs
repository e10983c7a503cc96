//! Connecting, with an error that says what to do.

use std::{error::Error, time::Duration};

use anyhow::{Context, bail};
use tonic::transport::{Channel, Endpoint};

/// Where `diptych dev` listens when it is told nothing else.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:7400";

/// How long to wait for the other side to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Many small messages travel at once; the defaults of HTTP/2 (64 KiB) would stop them now and then.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 22;

/// Connects to a server. The channel connects again by itself when the connection is lost.
///
/// # Errors
/// When the URL is not one, or nothing answers there.
pub(crate) async fn connect(url: &str) -> anyhow::Result<Channel> {
    match endpoint(url)?.connect().await {
        Ok(channel) => Ok(channel),
        Err(error) => bail!(
            "nothing answers at {url}: {}\nStart a server first (`diptych dev`), or name another one with --to URL",
            innermost(&error)
        ),
    }
}

fn endpoint(url: &str) -> anyhow::Result<Endpoint> {
    let with_scheme = match url.split_once("://") {
        None => format!("http://{url}"),
        Some(("http", _)) => url.to_owned(),
        Some((scheme, _)) => bail!("--to {url}: {scheme} is not possible here; give a URL such as {DEFAULT_URL}"),
    };
    let endpoint = Endpoint::from_shared(with_scheme)
        .with_context(|| format!("--to {url} is not a URL; give one such as {DEFAULT_URL}"))?;
    if endpoint.uri().port_u16().is_none() {
        bail!("--to {url} has no port; give a URL such as {DEFAULT_URL}");
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}

/// The cause at the bottom, such as "Connection refused": what tonic wraps around it says only "transport error".
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        for good in ["http://127.0.0.1:7400", "127.0.0.1:7400", "localhost:7400", "http://[::1]:7400"] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in ["https://127.0.0.1:7400", "http://", "http://127.0.0.1", "", "not a url:1"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_port_without_a_server_is_told_with_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = connect(&format!("http://{free}")).await.unwrap_err().to_string();
        assert!(error.contains("nothing answers at http://127.0.0.1:"), "{error}");
        assert!(error.contains("refused") && error.contains("`diptych dev`"), "{error}");
    }
}
