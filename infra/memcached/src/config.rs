//! What can be set.

use std::{collections::HashSet, time::Duration};

use diptych_kernel::ports::{PortError, PortResult};

/// Seconds above which the protocol takes a time to live for a date.
const TTL_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long a lease may be good at most: a key whose filler has died costs every reader a look at the read database for that long.
const LEASE_TTL_MAX: Duration = Duration::from_secs(60);

/// How many connections to one server make sense; a single one carries hundreds of thousands of rows a second.
const CONNECTIONS_MAX: usize = 64;

/// What is left of a key of 250 bytes once a view, a hash and separators have their room.
const KEY_PREFIX_BYTES_MAX: usize = 64;

/// Where the cache is, and how it is used. [`MemcachedConfig::new`] gives the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemcachedConfig {
    /// The servers, as `host:port`, `address:port` or `[address]:port`. At least one, none twice. Every process of an installation must name them
    /// in the same words, as the words decide which server has which key; the order does not matter. Names are looked up at every connection, so
    /// a server may come back under another address. Not for proxies that spread keys over servers of their own.
    pub servers: Vec<String>,
    /// What the keys of this installation begin with, so that several can share servers: at most 64 letters, digits, `.`, `_` and `-`. Default
    /// `diptych`.
    pub key_prefix: String,
    /// How many connections this process has to each server, 1 to 64. What is asked at the same time shares a round trip, so more of them help
    /// only where one core cannot keep up with a server. Default 1.
    pub connections_per_server: usize,
    /// How long it may take to connect to a server, finding its address included. Callers wait for that only after a connection was lost, and
    /// never while a server is known to be down. Default 200 ms.
    pub connect_timeout: Duration,
    /// How long one round trip may take. Default 50 ms.
    pub request_timeout: Duration,
    /// How long a server that is down is left alone before it is tried again, the first time; up to twice as long by chance. Calls fail at once
    /// meanwhile. Default 50 ms.
    pub reconnect_delay_min: Duration,
    /// The same after many failures in a row: the time doubles up to this. Default 1 s.
    pub reconnect_delay_max: Duration,
    /// How long a row is kept that nobody changes, 1 s to 30 days, in whole seconds. Default 1 day.
    pub ttl: Duration,
    /// How long a reader has for filling what it missed, at least; up to a second more in fact. Above 0, at most 1 minute. Default 2 s.
    pub lease_ttl: Duration,
    /// The largest row that is cached, in bytes with its header of 26. Must stay below the item size of the servers (their option `-I`, 1 MB unless
    /// set) by the key and 100 bytes. Default 1,000,000.
    pub value_bytes_max: usize,
    /// Whether a refresh puts rows that are not cached. Where most rows that are written are never read, `false` halves the work of a refresh and
    /// leaves the servers' memory to what is read; the first read of a row is a miss then. Default `true`.
    pub refresh_puts_absent: bool,
}

impl MemcachedConfig {
    /// The settings for these servers.
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
        }
    }

    /// All that is wrong with it, in one error.
    pub(crate) fn check(&self) -> PortResult<()> {
        let mut mistakes = self.mistakes_of_servers();
        if self.key_prefix.len() > KEY_PREFIX_BYTES_MAX || !self.key_prefix.bytes().all(is_prefix_byte) {
            mistakes.push(format!(
                "{:?} cannot be a key prefix: choose at most {KEY_PREFIX_BYTES_MAX} letters, digits, `.`, `_` and `-`",
                self.key_prefix
            ));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections_per_server) {
            mistakes.push(format!(
                "connections_per_server is {}: choose 1 to {CONNECTIONS_MAX}",
                self.connections_per_server
            ));
        }
        let times = [
            ("connect_timeout", self.connect_timeout),
            ("request_timeout", self.request_timeout),
            ("reconnect_delay_min", self.reconnect_delay_min),
            ("lease_ttl", self.lease_ttl),
        ];
        mistakes.extend(
            times.iter().filter(|(_, time)| time.is_zero()).map(|(name, _)| format!("{name} is 0: choose more")),
        );
        if self.reconnect_delay_max < self.reconnect_delay_min {
            mistakes.push("reconnect_delay_max is below reconnect_delay_min: choose no less".into());
        }
        if !(Duration::from_secs(1)..=TTL_MAX).contains(&self.ttl) {
            mistakes.push(format!("ttl is {:?}: choose 1 s to 30 days", self.ttl));
        }
        if self.lease_ttl > LEASE_TTL_MAX {
            mistakes.push(format!("lease_ttl is {:?}: choose at most {LEASE_TTL_MAX:?}", self.lease_ttl));
        }
        if mistakes.is_empty() { Ok(()) } else { Err(PortError::operator(mistakes.join("; "))) }
    }

    fn mistakes_of_servers(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        if self.servers.is_empty() {
            mistakes.push("no server is given: give at least one as host:port".to_owned());
        }
        let mut seen = HashSet::new();
        for server in &self.servers {
            if !is_address(server) {
                mistakes.push(format!("server {server:?} cannot be connected to: write it as host:port"));
            }
            if !seen.insert(server) {
                mistakes.push(format!("server {server:?} is named twice: name it once"));
            }
        }
        mistakes
    }
}

/// Neither `:`, which separates the parts of a key, nor anything that a server refuses.
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
    fn the_defaults_are_in_order() {
        config().check().unwrap();
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
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
        let told = [
            "\"a:1\" is named twice",
            "\"nowhere\"",
            "key prefix",
            "connections_per_server",
            "connect_timeout",
            "request_timeout",
            "reconnect_delay_min",
            "ttl is",
            "lease_ttl is",
        ];
        for what in told {
            assert!(text.contains(what), "{what} is missing in: {text}");
        }
        let error = MemcachedConfig::new(Vec::new()).check().unwrap_err();
        assert!(error.to_string().contains("no server is given"), "{error}");
    }

    #[test]
    fn addresses_are_checked() {
        for server in ["h:1", "10.0.0.1:11211", "[::1]:11211", "cache-0.cache.svc:65535"] {
            assert!(is_address(server), "{server}");
        }
        for server in ["", "h", ":1", "h:", "h:0", "h:65536", "::1:11211", "h:port"] {
            assert!(!is_address(server), "{server}");
        }
    }
}
