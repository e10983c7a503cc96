//! Connections to the services, as the flags of a client subcommand name them.

use std::error::Error;

use anyhow::anyhow;

use super::{
    address::{Address, DEFAULT_URL},
    connection::{BearerToken, Connection, TokenInterceptor},
    diagnosis::diagnose,
    required_services::{CheckedServer, RequiredServices},
};

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

/// Connections to both services; one connection where they have the same address.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    pub(crate) commands: Connection,
    pub(crate) queries: Connection,
}

impl Target {
    /// The addresses of the services, without user names and passwords; one if both have the same.
    pub(crate) fn addresses(&self) -> Vec<String> {
        [Some(&self.to), self.queries.as_ref()].into_iter().flatten().map(|url| host_and_port(url)).collect()
    }

    /// Connects to both services, and checks once that the required ones are served.
    ///
    /// # Errors
    /// When a URL is invalid, no server answers there, or it does not serve a required service.
    pub(crate) async fn connect(&self, required: RequiredServices) -> anyhow::Result<Connections> {
        let (to, queries) = self.parse_addresses()?;
        let connections = self.connect_to(&to, queries.as_ref()).await?;
        let commands = CheckedServer { address: &to, connection: &connections.commands };
        let queries = queries.as_ref().map(|address| CheckedServer { address, connection: &connections.queries });
        required.check(&commands, queries.as_ref()).await?;
        Ok(connections)
    }

    /// As [`Target::connect`], several times; the services are checked once.
    ///
    /// # Errors
    /// Those of [`Target::connect`].
    pub(crate) async fn connect_many(
        &self,
        count: u64,
        required: RequiredServices,
    ) -> anyhow::Result<Vec<Connections>> {
        let mut all = vec![self.connect(required).await?];
        let (to, queries) = self.parse_addresses()?;
        for _ in 1..count {
            all.push(self.connect_to(&to, queries.as_ref()).await?);
        }
        Ok(all)
    }

    /// The same flags with another URL of the services.
    pub(crate) fn with_address(&self, to: &str) -> Self {
        Self { to: to.to_owned(), queries: None, token: self.token.clone() }
    }

    /// Checks the URLs, without connecting.
    ///
    /// # Errors
    /// When a URL is invalid.
    pub(crate) fn check_addresses(&self) -> anyhow::Result<()> {
        self.parse_addresses().map(|_| ())
    }

    fn parse_addresses(&self) -> anyhow::Result<(Address, Option<Address>)> {
        let queries = self.queries.as_ref().map(|url| Address::parse("--queries", url)).transpose()?;
        Ok((Address::parse("--to", &self.to)?, queries))
    }

    async fn connect_to(&self, to: &Address, queries: Option<&Address>) -> anyhow::Result<Connections> {
        let commands = self.connection(to).await?;
        let queries = match queries {
            Some(queries) => self.connection(queries).await?,
            None => commands.clone(),
        };
        Ok(Connections { commands, queries })
    }

    async fn connection(&self, address: &Address) -> anyhow::Result<Connection> {
        match address.endpoint.connect().await {
            Ok(channel) => Ok(Connection::new(channel, TokenInterceptor::new(self.token.clone()))),
            Err(error) => {
                diagnose(address).await?;
                Err(anyhow!("cannot connect to {address}: {}\nTry again", innermost(&error)))
            }
        }
    }
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
    fn addresses_have_no_scheme_and_no_password() {
        let queries = Some("http://ada:se@cret@two:2/".to_owned());
        let target = Target { to: "http://127.0.0.1:7400".to_owned(), queries, token: None };
        assert_eq!(target.addresses(), ["127.0.0.1:7400", "two:2"]);
    }

    #[tokio::test]
    async fn an_error_without_a_server_says_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = Target { to: format!("http://{free}"), queries: None, token: None };
        let error = target.connect(RequiredServices::Commands).await.unwrap_err().to_string();
        assert!(error.contains("cannot connect to http://127.0.0.1:"), "{error}");
        assert!(error.contains("refused") && error.contains("`diptych dev`"), "{error}");
    }
}
