//! Addresses of services, from flags.

use std::{fmt, io, time::Duration};

use anyhow::{Context, anyhow, bail};
use tonic::transport::Endpoint;

/// The default address of `diptych dev`.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:7400";

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger than the default of HTTP/2 (64 KiB), at which many small messages in flight would stall.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 22;
/// Interval and timeout of keepalive pings, as a router may silently drop an idle connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The address of a service, and the flag that sets it.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The flag, such as `--to`.
    pub(super) flag: &'static str,
    url: String,
    pub(super) endpoint: Endpoint,
}

impl Address {
    /// Parses the value of a flag.
    ///
    /// # Errors
    /// When it is not a URL with a port, or has another scheme than http.
    pub(super) fn parse(flag: &'static str, url: &str) -> anyhow::Result<Self> {
        let with_scheme = match url.split_once("://") {
            None => format!("http://{url}"),
            Some(("http", _)) => url.to_owned(),
            Some((scheme, _)) => bail!("{flag} {url}: {scheme} is not supported; give a URL such as {DEFAULT_URL}"),
        };
        let endpoint = Endpoint::from_shared(with_scheme)
            .with_context(|| format!("{flag} {url} is not a URL; give one such as {DEFAULT_URL}"))?;
        if endpoint.uri().port_u16().is_none() {
            bail!("{flag} {url} has no port; give a URL such as {DEFAULT_URL}");
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        Ok(Self { flag, url: url.to_owned(), endpoint })
    }

    /// HOST:PORT.
    pub(super) fn host_and_port(&self) -> String {
        let uri = self.endpoint.uri();
        format!("{}:{}", uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default())
    }

    /// The error for the user if no connection can be made.
    pub(super) fn unreachable(&self, error: &io::Error) -> anyhow::Error {
        let flag = self.flag;
        anyhow!(
            "cannot connect to {self}: {error}\nStart the server (`diptych dev`), or give the gRPC address with {flag} URL; \
             that of `diptych dev` is {DEFAULT_URL}"
        )
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.url, self.flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_validated() {
        for valid in ["http://127.0.0.1:7400", "127.0.0.1:7400", "localhost:7400", "http://[::1]:7400"] {
            let address = Address::parse("--to", valid).unwrap();
            assert_eq!(address.host_and_port(), valid.trim_start_matches("http://"));
        }
        for invalid in ["https://127.0.0.1:7400", "http://", "http://127.0.0.1", "", "not a url:1"] {
            assert!(Address::parse("--to", invalid).is_err(), "{invalid}");
        }
    }
}
