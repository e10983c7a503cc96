//! Connecting, with an error that says what to do.

use std::{error::Error, fmt, time::Duration};

use anyhow::{Context, bail};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// Where `diptych dev` listens when it is told nothing else.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:7400";

/// A server and who calls it: the flags of every subcommand that talks to one.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// The server, or a gateway in front of it.
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    to: String,

    /// The query service, where it is not at the same address.
    #[arg(long, value_name = "URL")]
    queries: Option<String>,

    /// The token that a gateway asks for (a JWT), sent with every call. Everybody on the machine sees flags: better by DIPTYCH_TOKEN.
    #[arg(long, value_name = "TOKEN", env = "DIPTYCH_TOKEN", hide_env_values = true)]
    token: Option<Bearer>,
}

/// A connection, which is made again when it is lost, and who calls over it.
pub(crate) type Connection = InterceptedService<Channel, Caller>;

/// Connections to both services; the same one where they are at the same address.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) commands: Connection,
    pub(crate) queries: Connection,
}

/// Says with every call who calls, where that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    token: Option<Bearer>,
}

/// `Bearer TOKEN`. Not shown.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

/// How long to wait for the other side to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Many small messages travel at once; the defaults of HTTP/2 (64 KiB) would stop them now and then.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 22;
/// How often a silent connection is asked whether it still lives, and how long it may take to say so: a machine in between may have
/// forgotten it.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

impl Target {
    /// Connects. Connections are made again by themselves when they are lost.
    ///
    /// # Errors
    /// When a URL is not one, or nothing answers there.
    pub(crate) async fn connect(&self) -> anyhow::Result<Link> {
        let commands = self.connect_to("--to", &self.to).await?;
        let queries = match &self.queries {
            Some(queries) => self.connect_to("--queries", queries).await?,
            None => commands.clone(),
        };
        Ok(Link { commands, queries })
    }

    async fn connect_to(&self, flag: &str, url: &str) -> anyhow::Result<Connection> {
        match endpoint(flag, url)?.connect().await {
            Ok(channel) => Ok(InterceptedService::new(channel, Caller { token: self.token.clone() })),
            Err(error) => bail!(
                "nothing answers at {url}: {}\nStart a server first (`diptych dev`), or name another one with {flag} URL",
                innermost(&error)
            ),
        }
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(Bearer(token)) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl std::str::FromStr for Bearer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = MetadataValue::try_from(format!("Bearer {}", text.trim()));
        let mut value = value.map_err(|_| "a token has letters, digits and punctuation only".to_owned())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer ***")
    }
}

fn endpoint(flag: &str, url: &str) -> anyhow::Result<Endpoint> {
    let with_scheme = match url.split_once("://") {
        None => format!("http://{url}"),
        Some(("http", _)) => url.to_owned(),
        Some((scheme, _)) => bail!("{flag} {url}: {scheme} is not possible here; give a URL such as {DEFAULT_URL}"),
    };
    let endpoint = Endpoint::from_shared(with_scheme)
        .with_context(|| format!("{flag} {url} is not a URL; give one such as {DEFAULT_URL}"))?;
    if endpoint.uri().port_u16().is_none() {
        bail!("{flag} {url} has no port; give a URL such as {DEFAULT_URL}");
    }
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
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
            assert!(endpoint("--to", good).is_ok(), "{good}");
        }
        for bad in ["https://127.0.0.1:7400", "http://", "http://127.0.0.1", "", "not a url:1"] {
            assert!(endpoint("--to", bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_port_without_a_server_is_told_with_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = Target { to: format!("http://{free}"), queries: None, token: None };
        let error = target.connect().await.unwrap_err().to_string();
        assert!(error.contains("nothing answers at http://127.0.0.1:"), "{error}");
        assert!(error.contains("refused") && error.contains("`diptych dev`"), "{error}");
    }

    #[test]
    fn a_token_is_sent_and_never_shown() {
        let token: Bearer = " abc.def\n".parse().unwrap();
        let mut caller = Caller { token: Some(token) };
        assert!(!format!("{caller:?}").contains("abc"), "{caller:?}");
        let request = caller.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap().as_bytes(), b"Bearer abc.def");
        assert!(!format!("{request:?}").contains("abc"), "{request:?}");
        assert!(Caller::default().call(Request::new(())).unwrap().metadata().is_empty());
        assert!("a\nb".parse::<Bearer>().is_err());
    }
}
