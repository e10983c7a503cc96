//! What a process is, and what it is called.

use std::fmt;

use diptych_runtime::trace::Systems;

use crate::config::{Config, Instance};

/// What a process is: the subcommand that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything, on embedded stores.
    Dev,
    /// Everything, on the real servers.
    All,
    /// Takes commands.
    Command,
    /// Brings events onto the log.
    Relay,
    /// Folds events into rows.
    Projector,
    /// Answers queries.
    Query,
}

impl Role {
    /// What stands behind its ports, as traces have it.
    pub(super) fn systems(self, config: &Config) -> Systems {
        match self {
            Self::Dev => Systems::EMBEDDED,
            _ => Systems::servers(config.kafka.topic.clone()),
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

/// The name of a process: its own, and the same after a restart, so that it gets its lease and its partitions back at once.
///
/// The one that was given; else machine, role and port, as several processes may run on one machine. A free port (0) is another one each
/// time, and is left out. What `dev` works on it has to itself, so its name tells nobody apart.
pub(super) fn of(given: &Instance, role: Role, port: u16) -> String {
    match (&given.0, role, port) {
        (_, Role::Dev, _) => role.to_string(),
        (Some(name), ..) => name.clone(),
        (None, _, 0) => format!("{}-{role}", machine()),
        (None, ..) => format!("{}-{role}-{port}", machine()),
    }
}

/// The name of the machine, as far as it can be part of names elsewhere.
fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let name: String = name.chars().take(64).map(|letter| if is_part(letter) { letter } else { '-' }).collect();
    if name.is_empty() { "diptych".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_own_and_the_same_again() {
        let relay = |port| of(&Instance::default(), Role::Relay, port);
        assert!(relay(7_400).ends_with("-relay-7400"), "{}", relay(7_400));
        assert_eq!(relay(7_400), relay(7_400));
        assert_ne!(relay(7_400), relay(7_401));
        assert_ne!(relay(7_400), of(&Instance::default(), Role::Projector, 7_400));
        assert!(relay(0).ends_with("-relay"));
        assert!(relay(0).parse::<Instance>().is_ok(), "{} could not be given", relay(0));
    }

    #[test]
    fn a_name_that_was_given_is_taken() {
        let given: Instance = "relay-0".parse().unwrap();
        assert_eq!(of(&given, Role::Relay, 7_400), "relay-0");
        assert_eq!(of(&given, Role::Dev, 7_400), "dev");
    }
}
