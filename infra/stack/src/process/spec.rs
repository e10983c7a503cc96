//! Specification of a process: everything needed to start it, or to start it again from another program.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::detached::Detached;
use crate::error::{StackError, StackResult};

/// Maximum length of the name of a stack or process.
const NAME_BYTES_MAX: usize = 40;

/// Specification of a process. Everything is fixed before the start, including ports, so that the process can be
/// started again unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Its name, unique in the stack: lower-case letters, digits and `-`. It names the folder and the log.
    pub name: String,
    /// The program, as a path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables, in addition to `PATH`, `HOME` and similar ones. Nothing else is inherited, so that a
    /// stack does not depend on the shell that started it.
    pub environment: BTreeMap<String, String>,
    /// Ports on 127.0.0.1 by the name of the service. See [`Stack::ports`](crate::Stack::ports).
    pub ports: BTreeMap<String, u16>,
    /// Start order: lower stages start first and stop last; a stage starts when all processes of the previous one are
    /// ready. Servers have stage 0.
    pub stage: u8,
    /// Condition for readiness.
    pub ready: Readiness,
    /// Time limit for becoming ready. Default: 30 s.
    pub ready_timeout: Duration,
    /// Signal that requests the end. Default: SIGTERM.
    pub stop: StopSignal,
    /// Time limit for ending, after which it is killed. Default: 10 s.
    pub stop_timeout: Duration,
    /// Timer slack: how much the kernel may delay timers in order to coalesce them. Default: inherited, 50
    /// microseconds.
    pub timer_slack: Option<Duration>,
    /// Working folder. Default: its folder in the stack's folder.
    pub folder: Option<PathBuf>,
    /// User to run as. Default: the current user.
    pub user: Option<RunAs>,
    /// Lock files with which the program claims their folder. They are removed before a start, once no process of an
    /// earlier run works in that folder: a killed process remains a zombie until its parent reaps it, which can take
    /// seconds, and until then the program would take the pid in the file for a live process. Default: none.
    pub lock_files: Vec<PathBuf>,
    /// Processes that it starts and that are not its descendants. They are paused, killed and stopped with it. Default:
    /// none.
    pub detached: Option<Detached>,
}

/// The user and the group that a process runs as. Only root may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// The user's number.
    pub user_id: u32,
    /// The group's number.
    pub group_id: u32,
}

/// Condition for readiness. All ports are on 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    /// Ready immediately after the start.
    Started,
    /// A one-off process has ended successfully.
    Done,
    /// It accepts connections.
    Tcp {
        /// The port.
        port: u16,
    },
    /// It answers a GET with status 200.
    Http {
        /// The port.
        port: u16,
        /// The path, with its leading slash.
        path: String,
    },
    /// Its gRPC health service reports this service as serving.
    Grpc {
        /// The port.
        port: u16,
        /// The name of the service; empty for the whole server.
        service: String,
    },
    /// It has written this text to its log since its start.
    Line {
        /// Text that a line contains.
        text: String,
    },
    /// Postgres accepts a session of the user `postgres`.
    Postgres {
        /// The port.
        port: u16,
    },
    /// The Kafka broker has joined its cluster, and the cluster has a controller.
    Kafka {
        /// The port.
        port: u16,
    },
    /// The CQL server answers a query.
    Cql {
        /// The port.
        port: u16,
    },
    /// Patroni reports that its Postgres is the primary, or that it follows one.
    PostgresMember {
        /// The port of Patroni's REST API.
        rest: u16,
    },
    /// memcached reports its version.
    Memcached {
        /// The port.
        port: u16,
    },
}

/// Signal that requests a graceful stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT. For Postgres a fast shutdown: it ends sessions and writes a checkpoint.
    Interrupt,
}

impl StopSignal {
    pub(crate) fn number(self) -> rustix::process::Signal {
        match self {
            Self::Terminate => rustix::process::Signal::TERM,
            Self::Interrupt => rustix::process::Signal::INT,
        }
    }
}

impl ProcessSpec {
    /// A process of stage 1 that is ready immediately after the start.
    #[must_use]
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            ports: BTreeMap::new(),
            stage: 1,
            ready: Readiness::Started,
            ready_timeout: Duration::from_secs(30),
            stop: StopSignal::Terminate,
            stop_timeout: Duration::from_secs(10),
            timer_slack: None,
            folder: None,
            user: None,
            lock_files: Vec::new(),
            detached: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets the ports.
    #[must_use]
    pub fn ports(mut self, ports: BTreeMap<String, u16>) -> Self {
        self.ports = ports;
        self
    }

    /// Sets the stage.
    #[must_use]
    pub fn stage(mut self, stage: u8) -> Self {
        self.stage = stage;
        self
    }

    /// Sets the condition for readiness and its time limit.
    #[must_use]
    pub fn ready(mut self, ready: Readiness, within: Duration) -> Self {
        self.ready = ready;
        self.ready_timeout = within;
        self
    }
}

/// Checks the name of a stack or process, which is used as a folder name, in messages and in shells.
pub(crate) fn check_name(what: &str, name: &str) -> StackResult<()> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins_well = name.bytes().next().is_some_and(|byte| byte != b'-');
    if begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits) {
        return Ok(());
    }
    Err(StackError::Invalid(format!(
        "{name:?} is not a valid {what} name: \
         use 1 to {NAME_BYTES_MAX} lower-case letters, digits and -, not starting with -"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_in_folders_and_shells() {
        for name in ["default", "test-7", "a", "0"] {
            check_name("stack", name).unwrap();
        }
        for name in ["", "-x", "A", "a/b", "..", "a b", "é", "x".repeat(41).as_str()] {
            let error = check_name("stack", name).unwrap_err().to_string();
            assert!(error.contains("not a valid stack name"), "{error}");
        }
    }

    #[test]
    fn a_spec_survives_serialization() {
        let spec = ProcessSpec::new("command-1", "/bin/true")
            .arguments(["command", "--listen"])
            .variable("A", "b=c")
            .ports([("grpc".to_owned(), 21_000)].into())
            .stage(2)
            .ready(Readiness::Http { port: 1, path: "/ready".into() }, Duration::from_millis(1_500));
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<ProcessSpec>(&text).unwrap(), spec);
    }
}
