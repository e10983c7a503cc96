//! What can be set.

use std::{fmt, str::FromStr, time::Duration};

use diptych_kernel::ports::{PortError, PortResult};

/// What fits on one connection.
const REQUESTS_MAX: usize = 32_768;

/// How many copies of a row have to answer. Only those for which whoever reads sees what was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// More than half of the copies in the data centre of the node that is asked. Writers and readers are in the same one.
    #[default]
    LocalQuorum,
    /// More than half of all copies, wherever they are. For writers and readers in different data centres.
    Quorum,
}

impl Consistency {
    pub(crate) fn of_driver(self) -> scylla::statement::Consistency {
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

    /// Reads the name that CQL has for it, in any case.
    fn from_str(text: &str) -> PortResult<Self> {
        [Self::LocalQuorum, Self::Quorum]
            .into_iter()
            .find(|consistency| consistency.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                PortError::operator(format!(
                    "consistency {text:?} would not show everybody what was acknowledged: choose LOCAL_QUORUM or QUORUM"
                ))
            })
    }
}

/// Where the read database is, and how it is used. [`ScyllaConfig::new`] gives the defaults.
#[derive(Clone, PartialEq, Eq)]
pub struct ScyllaConfig {
    /// Nodes to ask for all others, as `host`, `host:port` or `[address]:port`; the port is 9042 where none is given. At least one.
    pub contact_points: Vec<String>,
    /// The keyspace: 1 to 48 lower-case letters, digits and underscores, a letter first. One installation has it to itself.
    pub keyspace: String,
    /// The data centre whose nodes are asked, and in which [`migrate`](crate::migrate) puts the keyspace. Default: none, for clusters of
    /// one data centre; then any node is asked, and the keyspace is in all of them.
    pub datacenter: Option<String>,
    /// How many copies of each row there are in a data centre, when [`migrate`](crate::migrate) makes the keyspace. At least 1, and no
    /// more than there are nodes. Default 3, which survives the loss of any one node.
    pub replication_factor: u8,
    /// How many copies have to answer. Default LOCAL_QUORUM.
    pub consistency: Consistency,
    /// The user to log in as. Default: none, for servers that ask for none.
    pub user: Option<String>,
    /// Its password. Never printed.
    pub password: Option<String>,
    /// How long one statement may take, with the driver's own retries. Default 5 s.
    pub request_timeout: Duration,
    /// How long it may take to connect to a node. Default 5 s.
    pub connect_timeout: Duration,
    /// How many statements of one handle may be under way at a time; more wait. 1 to 32,768. Default 256.
    pub requests_max: usize,
    /// The shortest time between two looks for progress that other processes have saved. Default 2 ms.
    pub progress_poll: Duration,
}

impl ScyllaConfig {
    /// The settings for a keyspace of a cluster.
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
            progress_poll: Duration::from_millis(2),
        }
    }

    /// All that is wrong with it, in one error.
    pub(crate) fn check(&self) -> PortResult<()> {
        let mut mistakes = Vec::new();
        if self.contact_points.is_empty() {
            mistakes.push("no contact point is given: give at least one as host:port".to_owned());
        }
        if !is_keyspace(&self.keyspace) {
            mistakes.push(format!(
                "{:?} cannot be a keyspace: choose 1 to 48 lower-case letters, digits and underscores, a letter first",
                self.keyspace
            ));
        }
        if let Some(datacenter) = self.datacenter.as_ref().filter(|name| !is_datacenter(name)) {
            mistakes.push(format!("{datacenter:?} cannot be a data centre: its name is empty or has a quote in it"));
        }
        if self.replication_factor == 0 {
            mistakes.push("replication_factor is 0, so rows would be nowhere: choose 1 or more".to_owned());
        }
        if !(1..=REQUESTS_MAX).contains(&self.requests_max) {
            mistakes.push(format!("requests_max is {}: choose 1 to {REQUESTS_MAX}", self.requests_max));
        }
        if self.user.is_some() != self.password.is_some() {
            mistakes.push("user and password go together: give both or neither".to_owned());
        }
        for (name, time) in [("request_timeout", self.request_timeout), ("connect_timeout", self.connect_timeout)] {
            if time.is_zero() {
                mistakes.push(format!("{name} is 0, so everything would be too late: choose more"));
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(PortError::operator(mistakes.join("; "))) }
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
            .field("progress_poll", &self.progress_poll)
            .finish()
    }
}

/// The name becomes part of statements.
fn is_keyspace(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 48 && name.bytes().all(is_part) && name.starts_with(|first: char| first.is_ascii_lowercase())
}

/// The name becomes part of a statement, in quotes.
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
    fn the_defaults_are_in_order() {
        config().check().unwrap();
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
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
        let told = [
            "contact point",
            "keyspace",
            "data centre",
            "replication_factor",
            "user and password",
            "request_timeout",
            "requests_max",
        ];
        for what in told {
            assert!(text.contains(what), "{what} is missing in: {text}");
        }
    }

    #[test]
    fn names_of_keyspaces_are_checked() {
        for name in ["a", "diptych_2", &"k".repeat(48)] {
            assert!(is_keyspace(name), "{name}");
        }
        for name in ["", "_a", "2a", "A", "a-b", "größe", &"k".repeat(49)] {
            assert!(!is_keyspace(name), "{name}");
        }
    }

    #[test]
    fn only_what_keeps_the_contract_can_be_chosen() {
        assert_eq!("local_quorum".parse::<Consistency>().unwrap(), Consistency::LocalQuorum);
        assert_eq!("QUORUM".parse::<Consistency>().unwrap(), Consistency::Quorum);
        assert!("ONE".parse::<Consistency>().unwrap_err().to_string().contains("LOCAL_QUORUM"));
    }
}
