//! Errors of a stack. Every message names the process, what happened, and what to do.

use std::{io, path::PathBuf, time::Duration};

/// Result of an operation on a stack.
pub type StackResult<T> = Result<T, StackError>;

/// Error of an operation on a stack.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A process ended before it was ready.
    #[error("{process} ended before it was ready{}", LogTail(log, tail))]
    EndedEarly {
        /// The process.
        process: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log since this start.
        tail: String,
    },

    /// A process is running but did not become ready in time.
    #[error("{process} was not ready after {} s: {last}{}", waited.as_secs(), LogTail(log, tail))]
    NotReady {
        /// The process.
        process: String,
        /// The time waited.
        waited: Duration,
        /// The result of the last probe.
        last: String,
        /// The log of the process.
        log: PathBuf,
        /// The last lines of the log since this start.
        tail: String,
    },

    /// A one-off process failed.
    #[error("{process} failed: {reason}{}", LogTail(log, tail))]
    Failed {
        /// The process.
        process: String,
        /// Its exit status, or that it took too long.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log since this start.
        tail: String,
    },

    /// The members of Postgres did not reach the wanted state in time.
    #[error(
        "Postgres did not get {what} within {} s: {last}; `cargo stack status` shows the roles of its members, and \
         `cargo stack logs` what each of them did",
        waited.as_secs()
    )]
    NoMember {
        /// The wanted state.
        what: &'static str,
        /// The time waited.
        waited: Duration,
        /// The last answer.
        last: String,
    },

    /// Another process listens on the port of this process.
    #[error(
        "port {port} of {process} is taken{}: stop what uses it, then start {process} again",
        by(holder.as_deref())
    )]
    PortTaken {
        /// The process whose port it is.
        process: String,
        /// The port on 127.0.0.1.
        port: u16,
        /// The program that uses it, if this user may see that.
        holder: Option<String>,
    },

    /// No port is free in the whole range.
    #[error(
        "no {wanted} free ports between {from} and {to} on 127.0.0.1: \
         stop some stacks (`cargo stack status --all` lists them)"
    )]
    NoFreePorts {
        /// The number of ports needed.
        wanted: usize,
        /// The first port of the range.
        from: u16,
        /// The last port of the range.
        to: u16,
    },

    /// The stack has no process of this name.
    #[error("stack {stack} has no process {process:?}: it has {known}")]
    UnknownProcess {
        /// The stack.
        stack: String,
        /// The requested name.
        process: String,
        /// The names of its processes.
        known: String,
    },

    /// The operation needs the process to be in another state.
    #[error("{process} is {state}: {remedy}")]
    WrongState {
        /// The process.
        process: String,
        /// Its state: running, paused or dead.
        state: &'static str,
        /// The operation to use instead.
        remedy: &'static str,
    },

    /// A process still exists after SIGKILL.
    #[error(
        "process {pid} of {process} still exists {} s after SIGKILL: see its state in /proc/{pid}/status",
        waited.as_secs()
    )]
    SurvivedKill {
        /// The process.
        process: String,
        /// The process id.
        pid: u32,
        /// The time waited.
        waited: Duration,
    },

    /// There is no such stack.
    #[error("there is no stack {stack:?}: `cargo stack up --name {stack}` starts it")]
    StackNotFound {
        /// The stack.
        stack: String,
    },

    /// Another process owns the stack, or is starting or stopping it.
    #[error(
        "stack {stack} is in use by another process{}: wait until it ends, or choose another stack with --name",
        of(*owner)
    )]
    InUse {
        /// The stack.
        stack: String,
        /// The process id of the owner, if known.
        owner: Option<u32>,
    },

    /// The stack's servers are already running and were not started by this owner.
    #[error("stack {stack} is already running: stop it with `cargo stack down --name {stack}`, or choose another name")]
    AlreadyRunning {
        /// The stack.
        stack: String,
    },

    /// The stack's state file cannot be read.
    #[error(
        "{} is not a valid state file ({reason}): \
         `cargo stack down --name {stack}` kills the processes that it can find and removes the file",
        path.display()
    )]
    UnreadableState {
        /// The stack.
        stack: String,
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },

    /// An invalid name, number or text, or a condition of the system that prevents the operation.
    #[error("{0}")]
    Invalid(String),

    /// A program that a server needs is not installed.
    #[error("{what} is not installed: {remedy}")]
    NotInstalled {
        /// The name of the program.
        what: String,
        /// The command or setting that provides it.
        remedy: String,
    },

    /// An installation failed.
    #[error("cannot install {what}: {reason}")]
    Install {
        /// The package.
        what: String,
        /// The reason, and what to do.
        reason: String,
    },

    /// A system call failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The operation.
        doing: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl StackError {
    /// Wraps an I/O error with the operation that failed, for `map_err`.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// The end of a log, with the path of the log.
struct LogTail<'a>(&'a PathBuf, &'a str);

impl std::fmt::Display for LogTail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(log, tail) = self;
        if tail.is_empty() {
            return write!(f, "; it wrote nothing to {}", log.display());
        }
        writeln!(f, "; the end of {}:", log.display())?;
        let lines: Vec<_> = tail.lines().map(|line| format!("  | {line}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

fn by(holder: Option<&str>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

fn of(owner: Option<u32>) -> String {
    owner.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_end_of_the_log() {
        let error = StackError::EndedEarly {
            process: "kafka".into(),
            log: "stack/kafka/output.log".into(),
            tail: "one\ntwo".into(),
        };
        assert_eq!(
            error.to_string(),
            "kafka ended before it was ready; the end of stack/kafka/output.log:\n  | one\n  | two"
        );
        let error = StackError::Failed {
            process: "format".into(),
            reason: "exit status: 1".into(),
            log: "x.log".into(),
            tail: String::new(),
        };
        assert_eq!(error.to_string(), "format failed: exit status: 1; it wrote nothing to x.log");
    }

    #[test]
    fn a_taken_port_names_its_holder_where_known() {
        let taken = |holder: Option<&str>| {
            StackError::PortTaken { process: "kafka".into(), port: 9, holder: holder.map(str::to_owned) }.to_string()
        };
        assert!(taken(Some("java (process 7)")).starts_with("port 9 of kafka is taken by java (process 7): stop"));
        assert!(taken(None).starts_with("port 9 of kafka is taken: stop"));
    }
}
