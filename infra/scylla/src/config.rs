//! Settings of the read database.

use std::{fmt, str::FromStr, time::Duration};

use diptych_kernel::ports::{PortError, PortResult};

/// The largest number of concurrent requests on one connection.
const REQUESTS_MAX: usize = 32_768;

/// The consistency level. Only those levels with which a reader sees every acknowledged write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// A majority of the replicas in the data centre of the coordinator. For writers and readers in the same data
    /// centre.
    #[default]
    LocalQuorum,
    /// A majority of all replicas. For writers and readers in different data centres.
    Quorum,
}

impl Consistency {
    pub(crate) fn to_driver(self) -> scylla::statement::Consistency {
        match self {
            Self::LocalQuorum => scylla::statement::Consistency::LocalQuorum,
            Self::Quorum => scylla::statement::Consistency::Quorum,
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalQuorum => "LOCAL_QUORUM",
            Self::Quorum => "QUORUM",
        })
    }
}

impl FromStr for Consistency {
    type Err = PortError;

    /// Parses the CQL name of a level, in any case.
    fn from_str(text: &str) -> PortResult<Self> {
        [Self::LocalQuorum, Self::Quorum]
            .into_iter()
            .find(|consistency| consistency.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                PortError::operator(format!(
                    "consistency {text:?} does not guarantee that acknowledged writes are read: use LOCAL_QUORUM or \
                     QUORUM"
                ))
            })
    }
}

/// Address, replication, limits and timeouts of the read database. [`ScyllaConfig::new`] gives the defaults.
#[derive(Clone, PartialEq, Eq)]
pub struct ScyllaConfig {
    /// Nodes from which the others are discovered, as `host`, `host:port` or `[address]:port`; the default port is
    /// 9042. At least one.
    pub contact_points: Vec<String>,
    /// The keyspace: 1 to 48 lower-case letters, digits and underscores, a letter first. It must not be shared with
    /// another installation.
    pub keyspace: String,
    /// The data centre whose nodes receive the requests, and in which [`migrate`](crate::migrate) creates the keyspace.
    /// [`migrate`](crate::migrate) records it, and every process must name the same. Default: none, for clusters of one
    /// data centre, and for QUORUM; then requests go to any node, and the keyspace is in all data centres.
    pub datacenter: Option<String>,
    /// The number of replicas of each row in a data centre, when [`migrate`](crate::migrate) creates the keyspace. At
    /// least 1, and at most the number of nodes. Default 3, which survives the loss of any one node.
    pub replication_factor: u8,
    /// The consistency level. Default LOCAL_QUORUM.
    pub consistency: Consistency,
    /// The user to log in as. Default: none, for servers without authentication.
    pub user: Option<String>,
    /// The user's password. Never printed.
    pub password: Option<String>,
    /// Timeout for one statement, including the driver's retries. Default 5 s.
    pub request_timeout: Duration,
    /// Timeout for connecting to a node. Default 5 s.
    pub connect_timeout: Duration,
    /// Maximum number of concurrent statements of one handle; more wait. 1 to 32,768. Default 256.
    pub requests_max: usize,
    /// Minimum interval between two polls for progress that other processes have saved. Default 2 ms.
    pub progress_poll_interval: Duration,
}

impl ScyllaConfig {
    /// The default settings for a keyspace of a cluster.
    #[must_use]
    pub fn new(contact_points: Vec<String>, keyspace: impl Into<String>) -> Self {
        Self {
            contact_points,
            keyspace: keyspace.into(),
            datacenter: None,
            replication_factor: 3,
            consistency: Consistency::default(),
            user: None,
            password: None,
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            requests_max: 256,
            progress_poll_interval: Duration::from_millis(2),
        }
    }

    /// Checks the settings, and returns all problems in one error.
    pub(crate) fn check(&self) -> PortResult<()> {
        let mut problems = Vec::new();
        if self.contact_points.is_empty() {
            problems.push("contact_points is empty: give at least one as host:port".to_owned());
        }
        if !is_keyspace(&self.keyspace) {
            problems.push(format!(
                "invalid keyspace {:?}: use 1 to 48 lower-case letters, digits and underscores, a letter first",
                self.keyspace
            ));
        }
        if let Some(datacenter) = self.datacenter.as_ref().filter(|name| !is_datacenter(name)) {
            problems.push(format!("invalid datacenter {datacenter:?}: the name must not be empty or contain a quote"));
        }
        if self.replication_factor == 0 {
            problems.push("replication_factor is 0: choose 1 or more".to_owned());
        }
        if !(1..=REQUESTS_MAX).contains(&self.requests_max) {
            problems.push(format!("requests_max is {}: choose 1 to {REQUESTS_MAX}", self.requests_max));
        }
        if self.user.is_some() != self.password.is_some() {
            problems.push("only one of user and password is given: give both or neither".to_owned());
        }
        for (name, time) in [("request_timeout", self.request_timeout), ("connect_timeout", self.connect_timeout)] {
            if time.is_zero() {
                problems.push(format!("{name} is 0: choose more"));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(PortError::operator(problems.join("; "))) }
    }
}

impl fmt::Debug for ScyllaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScyllaConfig")
            .field("contact_points", &self.contact_points)
            .field("keyspace", &self.keyspace)
            .field("datacenter", &self.datacenter)
            .field("replication_factor", &self.replication_factor)
            .field("consistency", &self.consistency)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "redacted"))
            .field("request_timeout", &self.request_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("requests_max", &self.requests_max)
            .field("progress_poll_interval", &self.progress_poll_interval)
            .finish()
    }
}

/// Checks a keyspace name, which becomes part of statements.
fn is_keyspace(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 48 && name.bytes().all(is_part) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Checks a data centre name, which becomes part of a statement, in quotes.
fn is_datacenter(name: &str) -> bool {
    !name.is_empty() && !name.contains('\'')
}

#[cfg(test)]
mod tests {
    use diptych_kernel::ports::Remedy;

    use super::*;

    fn config() -> ScyllaConfig {
        ScyllaConfig::new(vec!["127.0.0.1:9042".into()], "diptych")
    }

    #[test]
    fn a_password_is_not_printed() {
        let config = ScyllaConfig { user: Some("ada".into()), password: Some("hush".into()), ..config() };
        let printed = format!("{config:?}");
        assert!(printed.contains("ada") && printed.contains("redacted") && !printed.contains("hush"), "{printed}");
    }

    #[test]
    fn the_defaults_are_valid() {
        config().check().unwrap();
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let config = ScyllaConfig {
            contact_points: Vec::new(),
            keyspace: "Diptych\"; DROP".into(),
            datacenter: Some("it's".into()),
            replication_factor: 0,
            user: Some("ada".into()),
            request_timeout: Duration::ZERO,
            requests_max: 0,
            ..config()
        };
        let error = config.check().unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator);
        let text = error.to_string();
        let expected = [
            "contact_points",
            "keyspace",
            "datacenter",
            "replication_factor",
            "user and password",
            "request_timeout",
            "requests_max",
        ];
        for what in expected {
            assert!(text.contains(what), "{what} is missing in: {text}");
        }
    }

    #[test]
    fn keyspace_names_are_validated() {
        for name in ["a", "diptych_2", &"k".repeat(48)] {
            assert!(is_keyspace(name), "{name}");
        }
        for name in ["", "_a", "2a", "A", "a-b", "größe", &"k".repeat(49)] {
            assert!(!is_keyspace(name), "{name}");
        }
    }

    #[test]
    fn only_consistency_levels_that_keep_the_contract_are_accepted() {
        assert_eq!("local_quorum".parse::<Consistency>().unwrap(), Consistency::LocalQuorum);
        assert_eq!("QUORUM".parse::<Consistency>().unwrap(), Consistency::Quorum);
        assert!("ONE".parse::<Consistency>().unwrap_err().to_string().contains("LOCAL_QUORUM"));
    }
}
