//! Settings of the cache.

use std::{collections::HashSet, time::Duration};

use diptych_kernel::{
    ports::{PortError, PortResult},
    vocabulary::HistoryId,
};

/// The longest time to live: the protocol reads larger numbers of seconds as a Unix timestamp.
const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The longest lease: while a reader that died holds the lease of a key, every other reader of the key goes to the read
/// database.
const LEASE_TTL_MAX: Duration = Duration::from_secs(60);

/// The maximum number of connections to one server; a single one carries hundreds of thousands of rows per second.
const CONNECTIONS_MAX: usize = 64;

/// The part of a key of 250 bytes that is left after the view, a hash and separators.
const KEY_PREFIX_BYTES_MAX: usize = 64;

/// Servers and settings of the cache. [`MemcachedConfig::new`] returns the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemcachedConfig {
    /// The servers, as `host:port`, `address:port` or `[address]:port`. At least one, without duplicates. Every process
    /// of an installation must use exactly the same names, as keys are assigned to servers by hashing them; the order
    /// does not matter. Names are resolved at every connect, so a server may come back under another address. Proxies
    /// that distribute keys over several servers are not supported.
    pub servers: Vec<String>,
    /// The prefix of all keys of this installation, so that several installations can share servers: at most 64
    /// letters, digits, `.`, `_` and `-`. Default `diptych`.
    pub key_prefix: String,
    /// The number of connections from this process to each server, 1 to 64. Concurrent calls share round trips, so more
    /// connections help only where one core cannot keep up with a server. Default 1.
    pub connections_per_server: usize,
    /// The timeout of connecting to a server, including name resolution. Callers wait for this only after a connection
    /// was lost, and never while a server is known to be down. Default 200 ms.
    pub connect_timeout: Duration,
    /// The timeout of one round trip. Default 50 ms.
    pub request_timeout: Duration,
    /// The first pause before reconnecting to a server that is down, plus a random jitter of up to the same length.
    /// Meanwhile calls fail at once. Default 50 ms.
    pub reconnect_delay_min: Duration,
    /// The longest pause before reconnecting: the pause doubles with every failure up to this. Default 1 s.
    pub reconnect_delay_max: Duration,
    /// The time to live of a row that is not changed, 1 s to 30 days, in whole seconds. Default 1 day.
    pub ttl: Duration,
    /// The minimum time that a reader has to fill a miss; up to a second more in practice. Above 0, at most 1 minute.
    /// Default 2 s.
    pub lease_ttl: Duration,
    /// The size of the largest cached row, in bytes including a header of 26. With the key and another 100 bytes it
    /// must be below the item size limit of the servers (their option `-I`, 1 MB by default). Default 1,000,000.
    pub value_bytes_max: usize,
    /// True if a refresh also stores rows that are not cached yet. Where most written rows are never read, `false`
    /// halves the work of a refresh and leaves the servers' memory to rows that are read; the first read of a row is a
    /// miss then. Default `true`.
    pub refresh_puts_absent: bool,
    /// History of the installation: part of every key, so that what another installation, or this one before a restore,
    /// has cached is not read. `None`: keys have the prefix only. Default `None`.
    pub history: Option<HistoryId>,
}

impl MemcachedConfig {
    /// Default settings for these servers.
    #[must_use]
    pub fn new(servers: Vec<String>) -> Self {
        Self {
            servers,
            key_prefix: "diptych".into(),
            connections_per_server: 1,
            connect_timeout: Duration::from_millis(200),
            request_timeout: Duration::from_millis(50),
            reconnect_delay_min: Duration::from_millis(50),
            reconnect_delay_max: Duration::from_secs(1),
            ttl: Duration::from_secs(24 * 60 * 60),
            lease_ttl: Duration::from_secs(2),
            value_bytes_max: 1_000_000,
            refresh_puts_absent: true,
            history: None,
        }
    }

    /// Validates the settings; the error lists all problems.
    pub(crate) fn check(&self) -> PortResult<()> {
        let mut problems = self.server_problems();
        if self.key_prefix.len() > KEY_PREFIX_BYTES_MAX || !self.key_prefix.bytes().all(is_prefix_byte) {
            problems.push(format!(
                "key_prefix {:?} is invalid: use at most {KEY_PREFIX_BYTES_MAX} letters, digits, `.`, `_` and `-`",
                self.key_prefix
            ));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections_per_server) {
            problems.push(format!(
                "connections_per_server is {}: set it to 1 to {CONNECTIONS_MAX}",
                self.connections_per_server
            ));
        }
        let times = [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("reconnect_delay_min", self.reconnect_delay_min),
            ("lease_ttl", self.lease_ttl),
        ];
        problems.extend(
            times
                .iter()
                .filter(|(_, time)| time.is_zero())
                .map(|(name, _)| format!("{name} is 0: set it to more than 0")),
        );
        if self.reconnect_delay_max < self.reconnect_delay_min {
            problems.push(
                "reconnect_delay_max is less than reconnect_delay_min: set it to at least reconnect_delay_min".into(),
            );
        }
        if !(Duration::from_secs(1)..=TTL_MAX).contains(&self.ttl) {
            problems.push(format!("ttl is {:?}: set it to 1 s to 30 days", self.ttl));
        }
        if self.lease_ttl > LEASE_TTL_MAX {
            problems.push(format!("lease_ttl is {:?}: set it to at most {LEASE_TTL_MAX:?}", self.lease_ttl));
        }
        if problems.is_empty() { Ok(()) } else { Err(PortError::operator(problems.join("; "))) }
    }

    fn server_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.servers.is_empty() {
            problems.push("servers is empty: set at least one as host:port".to_owned());
        }
        let mut seen = HashSet::new();
        for server in &self.servers {
            if !is_address(server) {
                problems.push(format!("server {server:?} is not a valid address: write it as host:port"));
            }
            if !seen.insert(server) {
                problems.push(format!("server {server:?} is listed twice: list it once"));
            }
        }
        problems
    }
}

/// Excludes `:`, which separates the parts of a key, and all characters that a server refuses in keys.
fn is_prefix_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn is_address(server: &str) -> bool {
    server.rsplit_once(':').is_some_and(|(host, port)| {
        let is_bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && is_bare && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use diptych_kernel::ports::Remedy;

    use super::*;

    fn config() -> MemcachedConfig {
        MemcachedConfig::new(vec!["127.0.0.1:11211".into(), "cache-1.cache:11211".into(), "[::1]:11211".into()])
    }

    #[test]
    fn the_defaults_are_valid() {
        config().check().unwrap();
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let config = MemcachedConfig {
            servers: vec!["a:1".into(), "a:1".into(), "nowhere".into()],
            key_prefix: "a:b".into(),
            connections_per_server: 0,
            connect_timeout: Duration::ZERO,
            request_timeout: Duration::ZERO,
            reconnect_delay_min: Duration::ZERO,
            ttl: Duration::from_secs(31 * 24 * 60 * 60),
            lease_ttl: Duration::from_secs(61),
            ..config()
        };
        let error = config.check().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator);
        let text = error.to_string();
        let expected = [
            "\"a:1\" is listed twice",
            "\"nowhere\"",
            "key_prefix",
            "connections_per_server",
            "connect_timeout",
            "request_timeout",
            "reconnect_delay_min",
            "ttl is",
            "lease_ttl is",
        ];
        for what in expected {
            assert!(text.contains(what), "{what} is missing in: {text}");
        }
        let error = MemcachedConfig::new(Vec::new()).check().unwrap_err();
        assert!(error.to_string().contains("servers is empty"), "{error}");
    }

    #[test]
    fn addresses_are_validated() {
        for server in ["h:1", "10.0.0.1:11211", "[::1]:11211", "cache-0.cache.svc:65535"] {
            assert!(is_address(server), "{server}");
        }
        for server in ["", "h", ":1", "h:", "h:0", "h:65536", "::1:11211", "h:port"] {
            assert!(!is_address(server), "{server}");
        }
    }
}
