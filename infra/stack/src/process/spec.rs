//! What a process of a stack is: everything that is needed to start it, also again, also by another program.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{StackError, StackResult};

/// How long a name of a stack or a process may be.
const NAME_BYTES_MAX: usize = 40;

/// A process of a stack. Everything about it is decided before it starts, its ports too, so that it can be started
/// again as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Its name, unique in the stack: lower-case letters, digits and `-`. Its folder and its log are found by it.
    pub name: String,
    /// The program, as a path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables of its environment, beside `PATH`, `HOME` and the like. Nothing else is inherited, so that a stack
    /// does not depend on the shell that it was started from.
    pub environment: BTreeMap<String, String>,
    /// Where it listens on 127.0.0.1, each port with a word for what is served there. See
    /// [`Stack::ports`](crate::Stack::ports).
    pub ports: BTreeMap<String, u16>,
    /// Lower stages start first and stop last; a stage begins when all of the one before are ready. Servers have stage
    /// 0.
    pub stage: u8,
    /// When it counts as ready.
    pub ready: Readiness,
    /// How long it may take to become ready. Default: 30 s.
    pub ready_timeout: Duration,
    /// The signal that asks it to end. Default: SIGTERM.
    pub stop: StopSignal,
    /// How long it may take to end before it is killed. Default: 10 s.
    pub stop_timeout: Duration,
    /// By how much longer the kernel may let its pauses be, so that it ends several at once. Default: as its starter's,
    /// 50 microseconds.
    pub timer_slack: Option<Duration>,
    /// Where it runs. Default: its own folder in the stack's.
    pub folder: Option<PathBuf>,
    /// Who it runs as. Default: whoever starts it.
    pub user: Option<RunAs>,
    /// Files by which a run of the program tells others that it has the folder of the file. They are removed before a
    /// start, when nothing of an earlier run works in that folder any more: a killed process stays listed until its
    /// parent asks how it ended, some parents take seconds for that, and until then the program would take its pid in
    /// the file for alive. Default: none.
    pub lock_files: Vec<PathBuf>,
}

/// The user and the group that a process runs as. Only root may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// The user's number.
    pub user_id: u32,
    /// The group's number.
    pub group_id: u32,
}

/// When a process counts as ready. All ports are on 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readiness {
    /// As soon as it was started.
    Started,
    /// When it has ended with success: a process that does one thing.
    Done,
    /// When it takes connections.
    Tcp {
        /// The port.
        port: u16,
    },
    /// When it answers a GET with status 200.
    Http {
        /// The port.
        port: u16,
        /// The path, with its leading slash.
        path: String,
    },
    /// When its gRPC health service says that this service is serving.
    Grpc {
        /// The port.
        port: u16,
        /// The name of the service; empty for the whole server.
        service: String,
    },
    /// When it has written this to its log since it was started.
    Line {
        /// What a line has in it.
        text: String,
    },
    /// When Postgres lets the user `postgres` in.
    Postgres {
        /// The port.
        port: u16,
    },
    /// When a Kafka broker says that it is part of its cluster, and that there is a controller.
    Kafka {
        /// The port.
        port: u16,
    },
    /// When a CQL store answers a query.
    Cql {
        /// The port.
        port: u16,
    },
    /// When memcached tells its version.
    Memcached {
        /// The port.
        port: u16,
    },
}

/// The signal that asks a process to end in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT. Postgres takes it as: cut sessions off, but write everything down.
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
    /// A process that is ready as soon as it was started, of stage 1.
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
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable of the environment.
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

    /// Sets when it counts as ready, and how long that may take.
    #[must_use]
    pub fn ready(mut self, ready: Readiness, within: Duration) -> Self {
        self.ready = ready;
        self.ready_timeout = within;
        self
    }
}

/// A name becomes a folder's, a word in messages and an argument in a shell.
pub(crate) fn check_name(what: &str, name: &str) -> StackResult<()> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins_well = name.bytes().next().is_some_and(|byte| byte != b'-');
    if begins_well && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits) {
        return Ok(());
    }
    Err(StackError::Invalid(format!(
        "{name:?} is no name of a {what}: take 1 to {NAME_BYTES_MAX} lower-case letters, digits and -, not beginning with -"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_folders_and_shells() {
        for name in ["default", "test-7", "a", "0"] {
            check_name("stack", name).unwrap();
        }
        for name in ["", "-x", "A", "a/b", "..", "a b", "é", "x".repeat(41).as_str()] {
            let error = check_name("stack", name).unwrap_err().to_string();
            assert!(error.contains("no name of a stack"), "{error}");
        }
    }

    #[test]
    fn a_spec_is_the_same_after_it_was_written_down() {
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
