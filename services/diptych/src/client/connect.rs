//! Connections to the services.

use std::{error::Error, fmt, time::Duration};

use anyhow::{Context, bail};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// The default address of `diptych dev`.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:7400";

/// The services to call, and the token to send: the flags of every client subcommand.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Target {
    /// URL of the services, or of a gateway in front of them.
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    to: String,

    /// URL of the query service, where it differs from --to.
    #[arg(long, value_name = "URL")]
    queries: Option<String>,

    /// Token that a gateway requires (a JWT). Other users of the machine can see flags; prefer DIPTYCH_TOKEN.
    #[arg(long, value_name = "TOKEN", env = "DIPTYCH_TOKEN", hide_env_values = true)]
    token: Option<BearerToken>,
}

/// A connection that reconnects by itself, and sends the token.
pub(crate) type Connection = InterceptedService<Channel, TokenInterceptor>;

/// Connections to both services; one connection where they have the same address.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pub(crate) commands: Connection,
    pub(crate) queries: Connection,
}

/// Adds the token, if there is one, to every call.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenInterceptor {
    token: Option<BearerToken>,
}

/// The value of an `authorization` header: "Bearer TOKEN". Its debug form is redacted.
#[derive(Clone)]
struct BearerToken(MetadataValue<Ascii>);

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger than the default of HTTP/2 (64 KiB), at which many small messages in flight would stall.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 22;
/// Interval and timeout of keepalive pings, as a router may silently drop an idle connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

impl Target {
    /// The addresses of the services, without user names and passwords; one if both have the same.
    pub(crate) fn addresses(&self) -> Vec<String> {
        [Some(&self.to), self.queries.as_ref()].into_iter().flatten().map(|url| host_and_port(url)).collect()
    }

    /// Connects to both services.
    ///
    /// # Errors
    /// When a URL is invalid, or no server answers there.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connections> {
        let commands = self.connect_to("--to", &self.to).await?;
        let queries = match &self.queries {
            Some(queries) => self.connect_to("--queries", queries).await?,
            None => commands.clone(),
        };
        Ok(Connections { commands, queries })
    }

    async fn connect_to(&self, flag: &str, url: &str) -> anyhow::Result<Connection> {
        match endpoint(flag, url)?.connect().await {
            Ok(channel) => Ok(InterceptedService::new(channel, TokenInterceptor { token: self.token.clone() })),
            Err(error) => bail!(
                "cannot connect to {url}: {}\nStart a server first (`diptych dev`), or give another address with {flag} URL",
                innermost(&error)
            ),
        }
    }
}

impl Interceptor for TokenInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(BearerToken(token)) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl std::str::FromStr for BearerToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = MetadataValue::try_from(format!("Bearer {}", text.trim()));
        let mut value = value.map_err(|_| "a token has letters, digits and punctuation only".to_owned())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer ***")
    }
}

fn endpoint(flag: &str, url: &str) -> anyhow::Result<Endpoint> {
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
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES))
}

/// The part of a URL between the scheme, a user name or password, and the path.
fn host_and_port(url: &str) -> String {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, address)| address).to_owned()
}

/// The root cause, such as "Connection refused": tonic wraps it in a plain "transport error".
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

    #[test]
    fn addresses_have_no_scheme_and_no_password() {
        let queries = Some("http://ada:se@cret@two:2/".to_owned());
        let target = Target { to: "http://127.0.0.1:7400".to_owned(), queries, token: None };
        assert_eq!(target.addresses(), ["127.0.0.1:7400", "two:2"]);
    }

    #[tokio::test]
    async fn an_error_without_a_server_says_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = Target { to: format!("http://{free}"), queries: None, token: None };
        let error = target.connect().await.unwrap_err().to_string();
        assert!(error.contains("cannot connect to http://127.0.0.1:"), "{error}");
        assert!(error.contains("refused") && error.contains("`diptych dev`"), "{error}");
    }

    #[test]
    fn a_token_is_sent_and_never_displayed() {
        let token: BearerToken = " abc.def\n".parse().unwrap();
        let mut interceptor = TokenInterceptor { token: Some(token) };
        assert!(!format!("{interceptor:?}").contains("abc"), "{interceptor:?}");
        let request = interceptor.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap().as_bytes(), b"Bearer abc.def");
        assert!(!format!("{request:?}").contains("abc"), "{request:?}");
        assert!(TokenInterceptor::default().call(Request::new(())).unwrap().metadata().is_empty());
        assert!("a\nb".parse::<BearerToken>().is_err());
    }
}
