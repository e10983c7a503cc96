//! Status of the processes of a stack.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::handle::Stack;
use crate::{
    error::StackResult,
    process::{ProcessState, memory_kib},
    state::ProcessRecord,
};

/// Status of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: ProcessState,
    /// Its process id, if alive.
    pub pid: Option<u32>,
    /// Its ports on 127.0.0.1.
    pub ports: BTreeMap<String, u16>,
    /// Memory of the process and its descendants in bytes; shared memory counts once.
    pub memory_bytes: u64,
    /// Time since the start, if alive.
    pub uptime: Option<Duration>,
    /// Path of its log.
    pub log: PathBuf,
}

impl Stack {
    /// Returns the status of each process, ordered by stage and name.
    ///
    /// # Errors
    /// When the state of the stack cannot be read.
    pub fn status(&self) -> StackResult<Vec<ProcessStatus>> {
        Ok(self.state()?.processes.iter().map(|record| self.status_of(record)).collect())
    }

    fn status_of(&self, record: &ProcessRecord) -> ProcessStatus {
        let (alive, tree) = (record.live_run(), record.tree());
        ProcessStatus {
            name: record.spec.name.clone(),
            state: tree.state(),
            pid: alive.map(|run| run.identity.pid),
            ports: record.spec.ports.clone(),
            memory_bytes: memory_kib(&tree) * 1024,
            uptime: alive.map(|run| run.uptime()),
            log: self.folder.log(&record.spec.name),
        }
    }
}
