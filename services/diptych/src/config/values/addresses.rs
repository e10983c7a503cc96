//! Network addresses: to listen on, and of servers.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::value::{PartValue, SettingValue};

/// An address to listen on: "127.0.0.1:7400", "localhost:7400", "[::1]:7400". A host name is resolved when the port is
/// bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// An IPv4 address, an IPv6 address in brackets, or a host name.
    host: String,
    port: u16,
}

/// One or more servers, separated by commas: "one:9042,two:9042".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerList(Vec<String>);

impl ListenAddress {
    /// A port of this machine that other machines cannot reach.
    pub(crate) fn local(port: u16) -> Self {
        Self { host: Ipv4Addr::LOCALHOST.to_string(), port }
    }

    /// The port; 0 takes a free one.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl ServerList {
    /// A list of one.
    pub(crate) fn one(server: &str) -> Self {
        Self(vec![server.to_owned()])
    }

    /// The servers, in the order given.
    pub(crate) fn to_vec(&self) -> Vec<String> {
        self.0.clone()
    }
}

impl SettingValue for ListenAddress {
    fn allowed() -> String {
        "host:port".to_owned()
    }
}

impl SettingValue for ServerList {
    fn allowed() -> String {
        "host:port, several separated by commas".to_owned()
    }
}

impl PartValue<Vec<String>> for ServerList {
    fn from_part(value: Vec<String>) -> Self {
        Self(value)
    }

    fn to_part(&self) -> Vec<String> {
        self.to_vec()
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once(':').filter(|(host, _)| is_host(host));
        let parts = parts.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        parts.map(|(host, port)| Self { host, port }).ok_or_else(|| {
            "write a host and a port, such as 127.0.0.1:7400 or localhost:7400, or 0.0.0.0:7400 for all network \
             interfaces"
                .to_owned()
        })
    }
}

/// Returns whether the text is an IPv4 address, an IPv6 address in brackets, or may be a host name.
fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_numeric { text.parse::<Ipv4Addr>().is_ok() } else { text.bytes().all(is_host_byte) }
}

impl FromStr for ServerList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let servers: Vec<_> = text.split(',').map(|server| server.trim().to_owned()).collect();
        if servers.iter().any(String::is_empty) {
            return Err("write one or more as host:port, separated by commas".to_owned());
        }
        Ok(Self(servers))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for ServerList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_has_a_host_and_a_port() {
        for good in ["127.0.0.1:7400", "0.0.0.0:0", "[::1]:7400", "localhost:7402", "pod-7.diptych:7400"] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good);
        }
        for bad in ["", "7400", ":7400", "localhost", "localhost:", "127.0.0.300:7400", "::1:7400", "a b:1", "a:70000"]
        {
            let error = bad.parse::<ListenAddress>().unwrap_err();
            assert!(error.contains("such as 127.0.0.1:7400 or localhost:7400"), "{bad}: {error}");
        }
        assert_eq!("127.0.0.1:7400".parse(), Ok(ListenAddress::local(7_400)));
    }
}
