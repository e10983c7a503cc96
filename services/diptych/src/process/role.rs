//! The role of a process, and its instance name.

use std::fmt;

use diptych_runtime::trace::Systems;

use crate::config::{Config, InstanceName};

/// The role of a process: the subcommand that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "servers"), allow(dead_code, reason = "only `dev` is a process without servers"))]
pub(crate) enum Role {
    /// All parts, on embedded stores.
    Dev,
    /// All parts, on real servers.
    All,
    /// Takes commands.
    Command,
    /// Publishes committed events to the event log.
    Relay,
    /// Applies events to the rows of the views.
    Projector,
    /// Answers queries.
    Query,
}

impl Role {
    /// The systems behind its ports, as named in traces.
    #[cfg_attr(not(feature = "servers"), allow(unused_variables, reason = "only servers have settings"))]
    pub(super) fn systems(self, config: &Config) -> Systems {
        match self {
            Self::Dev => Systems::EMBEDDED,
            #[cfg(feature = "servers")]
            _ => Systems::servers(config.kafka.topic.to_string()),
            #[cfg(not(feature = "servers"))]
            _ => Systems::EMBEDDED,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dev => "dev",
            Self::All => "all",
            Self::Command => "command",
            Self::Relay => "relay",
            Self::Projector => "projector",
            Self::Query => "query",
        })
    }
}

/// Returns the instance name of a process: unique, and the same after a restart, so that it gets its lease and its
/// partitions back at once.
///
/// The configured name; else host name, role and port, as several processes may run on one machine. Port 0 takes
/// another free port each time, and is left out. `dev` shares its data with no other process, so its name need not be
/// unique.
pub(super) fn instance_name(configured: &InstanceName, role: Role, port: u16) -> String {
    match (&configured.0, role, port) {
        (_, Role::Dev, _) => role.to_string(),
        (Some(name), ..) => name.clone(),
        (None, _, 0) => format!("{}-{role}", host_name()),
        (None, ..) => format!("{}-{role}-{port}", host_name()),
    }
}

/// The host name, with characters that other systems refuse replaced.
fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let name: String = name.chars().take(64).map(|letter| if is_allowed(letter) { letter } else { '-' }).collect();
    if name.is_empty() { "diptych".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_is_unique_and_stable() {
        let relay = |port| instance_name(&InstanceName::default(), Role::Relay, port);
        assert!(relay(7_400).ends_with("-relay-7400"), "{}", relay(7_400));
        assert_eq!(relay(7_400), relay(7_400));
        assert_ne!(relay(7_400), relay(7_401));
        assert_ne!(relay(7_400), instance_name(&InstanceName::default(), Role::Projector, 7_400));
        assert!(relay(0).ends_with("-relay"));
        assert!(relay(0).parse::<InstanceName>().is_ok(), "{} is not a valid setting", relay(0));
    }

    #[test]
    fn a_configured_name_is_used() {
        let configured: InstanceName = "relay-0".parse().unwrap();
        assert_eq!(instance_name(&configured, Role::Relay, 7_400), "relay-0");
        assert_eq!(instance_name(&configured, Role::Dev, 7_400), "dev");
    }
}
