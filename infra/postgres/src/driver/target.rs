//! The server that connections go to, as error messages name it.

use std::{fmt, time::Duration};

use diptych_kernel::ports::PortError;
use tokio_postgres::{
    Config, Error,
    config::Host,
    error::{DbError, SqlState},
};

use super::error::no_effect_error;

const DEFAULT_PORT: u16 = 5432;

/// Hosts, user and database of the URL, without the password. Its `Display` names all of it and the setting that it
/// comes from.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionTarget {
    addresses: String,
    user: String,
    database: String,
}

impl ConnectionTarget {
    /// Describes the hosts of one URL, which have user and database in common.
    pub(crate) fn new(hosts: &[Config]) -> Self {
        let addresses: Vec<String> = hosts.iter().map(address).collect();
        let first = hosts.first();
        let user = first.and_then(Config::get_user).unwrap_or_default().to_owned();
        let database = first.and_then(Config::get_dbname).map_or_else(|| user.clone(), str::to_owned);
        Self { addresses: addresses.join(", "), user, database }
    }

    /// The error for a connection that could not be opened.
    pub(crate) fn connect_error(&self, error: Error) -> PortError {
        match error.as_db_error() {
            Some(refused) if *refused.code() == SqlState::INVALID_CATALOG_NAME => self.missing_database(refused),
            _ => no_effect_error(format_args!("cannot connect to {self}"), error),
        }
    }

    /// The error for a connection that was not ready in time.
    pub(crate) fn timeout_error(&self, timeout: Duration) -> PortError {
        PortError::not_done(format!("cannot connect to {self}: no host acknowledged a first commit within {timeout:?}"))
    }

    fn missing_database(&self, refused: &DbError) -> PortError {
        let database = &self.database;
        let quoted = database.replace('"', "\"\"");
        PortError::operator(format!(
            "cannot connect to {self}: database {database:?} does not exist (SQLSTATE {}): create it with CREATE \
             DATABASE \"{quoted}\", for example in psql, then run `diptych migrate`",
            refused.code().code()
        ))
    }
}

impl fmt::Display for ConnectionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addresses, user, database } = self;
        write!(f, "Postgres at {addresses} (setting postgres.url, database {database:?}, user {user:?})")
    }
}

/// `host:port`, or the folder of a Unix socket and the port.
fn address(host: &Config) -> String {
    let port = host.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
    let name = match (host.get_hosts().first(), host.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => name.clone(),
        (Some(Host::Unix(folder)), _) => folder.display().to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => String::new(),
    };
    if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
}

#[cfg(test)]
mod tests {
    use crate::config::PostgresConfig;

    use super::*;

    #[test]
    fn every_address_is_named_and_no_password() {
        let url = "postgres://ada:secret@one:1,two/bank?hostaddr=10.0.0.1,::1&port=1,5432";
        for (url, expected) in [
            ("postgres://ada:secret@one:1,two:2/bank", "one:1, two:2"),
            ("postgres://ada:secret@one,two/bank", "one:5432, two:5432"),
            ("postgres://ada:secret@%2Frun%2Fpostgres/bank", "/run/postgres:5432"),
            ("hostaddr=::1 user=ada password=secret dbname=bank", "[::1]:5432"),
            (url, ""),
        ] {
            let Ok(hosts) = PostgresConfig::new(url).hosts() else { continue };
            let named = ConnectionTarget::new(&hosts).to_string();
            assert!(named.contains(expected) && named.contains("postgres.url"), "{named}");
            assert!(named.contains("\"bank\"") && !named.contains("secret"), "{named}");
        }
    }
}
