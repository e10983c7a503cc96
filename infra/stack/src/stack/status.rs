//! How the processes of a stack are.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::Stack;
use crate::{ProcessState, StackResult, process::memory_kib, state::Record};

/// How one process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub state: ProcessState,
    /// Its process id, where it lives.
    pub pid: Option<u32>,
    /// Its ports on 127.0.0.1.
    pub ports: BTreeMap<String, u16>,
    /// How much memory it holds with all that it started, in bytes. What they share counts once.
    pub memory_bytes: u64,
    /// How long ago it started, where it lives.
    pub uptime: Option<Duration>,
    /// Its log.
    pub log: PathBuf,
}

impl Stack {
    /// How each process is, by stage and name.
    ///
    /// # Errors
    /// When what the stack has written down cannot be read.
    pub fn status(&self) -> StackResult<Vec<ProcessStatus>> {
        Ok(self.state()?.processes.iter().map(|record| self.status_of(record)).collect())
    }

    fn status_of(&self, record: &Record) -> ProcessStatus {
        let alive = record.alive();
        ProcessStatus {
            name: record.spec.name.clone(),
            state: alive.map_or(ProcessState::Dead, |run| run.identity.state()),
            pid: alive.map(|run| run.identity.pid),
            ports: record.spec.ports.clone(),
            memory_bytes: alive.map_or(0, |run| memory_kib(&run.identity) * 1024),
            uptime: alive.map(|run| run.uptime()),
            log: self.folder.log(&record.spec.name),
        }
    }
}
