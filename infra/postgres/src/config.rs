//! Settings.

use std::{fmt, time::Duration};

use diptych_kernel::ports::{PortError, PortResult};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

/// How to reach the write database, and how long to wait for it. [`PostgresConfig::new`] gives the defaults.
///
/// `Debug` shows everything but the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where it is: `postgres://user:password@host:port/database`, with several `host:port` separated by commas for a primary and its
    /// standbys. All of them are tried at the same time, and the first that allows writes and acknowledges a commit is used. Special
    /// characters are percent-encoded; other parameters of libpq follow a `?`. `sslmode=require` is refused, as there is no TLS in this build.
    pub url: String,
    /// The name that the server's activity view shows. Default `diptych`; one in the URL goes before it.
    pub application_name: String,
    /// How many appends and other writes may be under way at the same time, from 1. Default 4: a process has one sequencer.
    pub write_connections_max: usize,
    /// How many reads may be under way at the same time, from 1. Default 8.
    pub read_connections_max: usize,
    /// How long a connection may take, over all hosts, from the first packet to its first acknowledged commit. Default 3 s.
    pub connect_timeout: Duration,
    /// How long a call waits for one of the connections to become free. Default 5 s.
    pub pool_timeout: Duration,
    /// How long an answer is waited for before the connection is given up, commits that wait for the standby included. Default 5 s. A
    /// server that stands still answers TCP, so this is what notices it.
    pub answer_timeout: Duration,
    /// How long a statement may run before the server aborts it; the wait of its commit for disk and standby does not count. Default 4 s;
    /// less than `answer_timeout`, so that it is mostly the server that says no, and nothing is in doubt.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock, such as that of an append of the same stream that is not over. Default 2 s.
    pub lock_timeout: Duration,
    /// Whether processes tell each other of appends by LISTEN and NOTIFY. Default true; false behind a proxy that shares sessions,
    /// where only looking helps.
    pub notify: bool,
    /// How often a waiting handle looks for events where it is not told of them. Default 10 ms; ten times that while it is told.
    pub look_interval: Duration,
    /// For how long new requests go to the same shelf before another one is begun, which happens in `forget_requests`. Default 10 days: each
    /// look-up of a request asks every shelf, and only whole shelves are dropped, so a third of the time that ids are kept is about right.
    pub request_shelf_age: Duration,
}

impl PostgresConfig {
    /// The defaults for a database.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            application_name: "diptych".to_owned(),
            write_connections_max: 4,
            read_connections_max: 8,
            connect_timeout: Duration::from_secs(3),
            pool_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(4),
            lock_timeout: Duration::from_secs(2),
            notify: true,
            look_interval: Duration::from_millis(10),
            request_shelf_age: Duration::from_secs(10 * 24 * 60 * 60),
        }
    }

    /// One driver configuration per host.
    pub(crate) fn hosts(&self) -> PortResult<Vec<Config>> {
        // What the parser has to say may hold a piece of the password.
        let whole: Config = self.url.parse().map_err(|_| {
            PortError::operator(
                "the URL of Postgres cannot be read: it has the form postgres://user:password@host:port/database, with special \
                 characters percent-encoded",
            )
        })?;
        if whole.get_ssl_mode() == SslMode::Require {
            return Err(PortError::operator(
                "the URL of Postgres asks for sslmode=require, but this build has no TLS to Postgres: use a local proxy that adds it",
            ));
        }
        let count = whole.get_hosts().len().max(whole.get_hostaddrs().len());
        let ports = whole.get_ports();
        if count == 0 || (ports.len() > 1 && ports.len() != count) {
            let message = format!(
                "the URL of Postgres names {count} hosts and {} ports: name one port, or one per host",
                ports.len()
            );
            return Err(PortError::operator(message));
        }
        Ok((0..count).map(|index| self.host(&whole, index)).collect())
    }

    fn host(&self, whole: &Config, index: usize) -> Config {
        let mut host = Config::new();
        match whole.get_hosts().get(index) {
            Some(Host::Tcp(name)) => drop(host.host(name)),
            Some(Host::Unix(path)) => drop(host.host_path(path)),
            None => {}
        }
        if let Some(address) = whole.get_hostaddrs().get(index) {
            host.hostaddr(*address);
        }
        let ports = whole.get_ports();
        if let Some(port) = ports.get(index).or(ports.first()) {
            host.port(*port);
        }
        if let Some(user) = whole.get_user() {
            host.user(user);
        }
        if let Some(password) = whole.get_password() {
            host.password(password);
        }
        if let Some(database) = whole.get_dbname() {
            host.dbname(database);
        }
        if let Some(options) = whole.get_options() {
            host.options(options);
        }
        host.application_name(whole.get_application_name().unwrap_or(&self.application_name));
        host.ssl_mode(whole.get_ssl_mode());
        host.channel_binding(whole.get_channel_binding());
        host.target_session_attrs(TargetSessionAttrs::ReadWrite);
        host.connect_timeout(self.connect_timeout);
        // A host that is gone is noticed about as soon as one that stands still.
        host.tcp_user_timeout(whole.get_tcp_user_timeout().copied().unwrap_or(self.answer_timeout));
        host.keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(3);
        host
    }

    /// What every session is told first.
    pub(crate) fn session_settings(&self) -> String {
        let millis = |duration: Duration| duration.as_millis().max(1);
        format!(
            "{}SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};",
            include_str!("../queries/schema/session.sql"),
            millis(self.statement_timeout),
            millis(self.lock_timeout),
            millis(self.answer_timeout),
        )
    }
}

/// After how long without traffic a connection is tested, and how often until it is given up.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PostgresConfig");
        match self.url.parse::<Config>() {
            Ok(url) => shown
                .field("hosts", &url.get_hosts())
                .field("ports", &url.get_ports())
                .field("user", &url.get_user())
                .field("database", &url.get_dbname()),
            Err(_) => shown.field("url", &"cannot be read"),
        };
        shown
            .field("application_name", &self.application_name)
            .field("write_connections_max", &self.write_connections_max)
            .field("read_connections_max", &self.read_connections_max)
            .field("connect_timeout", &self.connect_timeout)
            .field("pool_timeout", &self.pool_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .field("statement_timeout", &self.statement_timeout)
            .field("lock_timeout", &self.lock_timeout)
            .field("notify", &self.notify)
            .field("look_interval", &self.look_interval)
            .field("request_shelf_age", &self.request_shelf_age)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "postgres://ada:se%2Fcret@one:1,two:2/bank?application_name=tests";

    #[test]
    fn debug_hides_the_password() {
        for url in [URL, "postgres://ada:se?cret@one", "host=one user=ada password=secret"] {
            let config = PostgresConfig::new(url);
            let shown = format!("{config:?}");
            assert!(!shown.contains("cret"), "{shown}");
            if let Err(error) = config.hosts() {
                assert!(!error.to_string().contains("cret"), "{error}");
            }
        }
    }

    #[test]
    fn every_host_gets_its_own_configuration() {
        let hosts = PostgresConfig::new(URL).hosts().unwrap();
        assert_eq!(hosts.len(), 2);
        for (host, (name, port)) in hosts.iter().zip([("one", 1), ("two", 2)]) {
            assert_eq!(host.get_hosts(), [Host::Tcp(name.to_owned())]);
            assert_eq!(host.get_ports(), [port]);
            assert_eq!(host.get_password(), Some(&b"se/cret"[..]));
            assert_eq!(host.get_dbname(), Some("bank"));
            assert_eq!(host.get_application_name(), Some("tests"));
            assert_eq!(host.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for url in
            ["postgres://one/bank?sslmode=require", "postgres://", "postgres://one:1,two:2,three/x?port=1,2", "?"]
        {
            assert!(PostgresConfig::new(url).hosts().is_err(), "{url}");
        }
    }
}
