//! Settings of the write database.

use std::{fmt, time::Duration};

use diptych_kernel::ports::{PortError, PortResult};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

/// Address, connection limits and timeouts of the write database. [`PostgresConfig::new`] gives the defaults.
///
/// `Debug` prints everything but the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Address: `postgres://user:password@host:port/database`, with several `host:port` separated by commas for a
    /// primary and its standbys. All of them are tried at the same time, and the first that allows writes and
    /// acknowledges a commit is used. Special characters are percent-encoded; other parameters of libpq follow a `?`.
    /// `sslmode=require` is refused, as this build has no TLS.
    pub url: String,
    /// `application_name` of the sessions, as in `pg_stat_activity`. Default `diptych`; a name in the URL takes
    /// precedence.
    pub application_name: String,
    /// Maximum number of concurrent appends and other writes, from 1. Default 4: a process has one sequencer.
    pub write_connections_max: usize,
    /// Maximum number of concurrent reads, from 1. Default 8.
    pub read_connections_max: usize,
    /// Timeout for opening a connection, over all hosts, from the first packet to its first acknowledged commit.
    /// Default 3 s.
    pub connect_timeout: Duration,
    /// Timeout for a connection of the pool to become free. Default 5 s.
    pub pool_timeout: Duration,
    /// Timeout for an answer, including commits that wait for the standby; then the connection is closed. Default 5 s.
    /// A server that hangs still acknowledges TCP segments, so only this timeout detects it.
    pub answer_timeout: Duration,
    /// Timeout after which the server aborts a statement; its commit's wait for disk and standby does not count.
    /// Default 4 s; less than `answer_timeout`, so that mostly the server ends a slow statement, and its outcome is
    /// known.
    pub statement_timeout: Duration,
    /// Timeout for a lock, such as that of an unfinished append to the same stream. Default 2 s.
    pub lock_timeout: Duration,
    /// Enables notifications of appends between processes, by LISTEN and NOTIFY. Default true. Set it to false behind a
    /// proxy that shares sessions, where only polling works.
    pub notify: bool,
    /// Poll interval of a handle that waits for events while it receives no notifications. Default 10 ms; ten times
    /// that while it does.
    pub poll_interval: Duration,
    /// Interval of the partitions of the table of request ids: how long new requests go to the same partition before
    /// `forget_requests` begins another one. Default 10 days: each look-up of a request searches every partition, and
    /// only whole partitions are dropped, so a third of the time that ids are kept is about right.
    pub request_partition_interval: Duration,
    /// Size of a segment of the table of events, in bytes without indexes, after which new events go to the next one.
    /// Default 4 GiB, about 15 million events: larger segments have larger indexes, and a stream whose state is not
    /// cached is looked up in each segment.
    pub event_segment_bytes: usize,
    /// True if a server without a synchronous standby (its `synchronous_standby_names` is empty) is refused, so that an
    /// acknowledged command survives the loss of any one server. Default false.
    pub synchronous_standby_required: bool,
}

impl PostgresConfig {
    /// The default settings for the database at `url`.
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
            poll_interval: Duration::from_millis(10),
            request_partition_interval: Duration::from_secs(10 * 24 * 60 * 60),
            event_segment_bytes: 4 << 30,
            synchronous_standby_required: false,
        }
    }

    /// Returns one driver configuration per host.
    pub(crate) fn hosts(&self) -> PortResult<Vec<Config>> {
        // The message of the parser may contain a part of the password.
        let all: Config = self.url.parse().map_err(|_| {
            PortError::operator(
                "invalid postgres.url: use the form postgres://user:password@host:port/database, with special \
                 characters percent-encoded",
            )
        })?;
        if all.get_ssl_mode() == SslMode::Require {
            return Err(PortError::operator(
                "postgres.url has sslmode=require, but this build has no TLS for Postgres: use a local proxy that adds \
                 it",
            ));
        }
        let count = all.get_hosts().len().max(all.get_hostaddrs().len());
        let ports = all.get_ports();
        if count == 0 || (ports.len() > 1 && ports.len() != count) {
            let message =
                format!("postgres.url has {count} hosts and {} ports: give one port, or one per host", ports.len());
            return Err(PortError::operator(message));
        }
        Ok((0..count).map(|index| self.host(&all, index)).collect())
    }

    fn host(&self, all: &Config, index: usize) -> Config {
        let mut host = Config::new();
        match all.get_hosts().get(index) {
            Some(Host::Tcp(name)) => drop(host.host(name)),
            Some(Host::Unix(path)) => drop(host.host_path(path)),
            None => {}
        }
        if let Some(address) = all.get_hostaddrs().get(index) {
            host.hostaddr(*address);
        }
        let ports = all.get_ports();
        if let Some(port) = ports.get(index).or(ports.first()) {
            host.port(*port);
        }
        if let Some(user) = all.get_user() {
            host.user(user);
        }
        if let Some(password) = all.get_password() {
            host.password(password);
        }
        if let Some(database) = all.get_dbname() {
            host.dbname(database);
        }
        if let Some(options) = all.get_options() {
            host.options(options);
        }
        host.application_name(all.get_application_name().unwrap_or(&self.application_name));
        host.ssl_mode(all.get_ssl_mode());
        host.channel_binding(all.get_channel_binding());
        host.target_session_attrs(TargetSessionAttrs::ReadWrite);
        host.connect_timeout(self.connect_timeout);
        // An unreachable host is detected about as soon as one that hangs.
        host.tcp_user_timeout(all.get_tcp_user_timeout().copied().unwrap_or(self.answer_timeout));
        host.keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(3);
        host
    }

    /// The statements that every session runs first.
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

/// TCP keepalive: idle time before the first probe, and interval of the probes.
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
            Err(_) => shown.field("url", &"invalid"),
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
            .field("poll_interval", &self.poll_interval)
            .field("request_partition_interval", &self.request_partition_interval)
            .field("event_segment_bytes", &self.event_segment_bytes)
            .field("synchronous_standby_required", &self.synchronous_standby_required)
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
    fn invalid_urls_are_refused() {
        for url in
            ["postgres://one/bank?sslmode=require", "postgres://", "postgres://one:1,two:2,three/x?port=1,2", "?"]
        {
            assert!(PostgresConfig::new(url).hosts().is_err(), "{url}");
        }
    }
}
