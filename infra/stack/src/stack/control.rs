//! Kill, pause, resume and restart of single processes.

use std::path::PathBuf;

use super::handle::Stack;
use crate::{
    error::{StackError, StackResult},
    process::{self, ProcessState, ProcessTree, StopOutcome},
    state::ProcessRecord,
};

/// A part of a Postgres that has a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberPart {
    /// Patroni. Its Postgres runs on, and no one demotes it while another one takes over.
    Manager,
    /// Postgres with all its sessions. Its manager lets a standby take over at once.
    Postgres,
}

impl Stack {
    /// Kills a process and its descendants with SIGKILL, paused or not. Returns when they have ended.
    ///
    /// # Errors
    /// When the stack has no process of this name, or it is dead already.
    pub async fn kill(&self, process: impl AsRef<str>) -> StackResult<()> {
        let process = process.as_ref();
        let tree = self.live_tree(process)?;
        self.kill_tree(process, &tree).await
    }

    /// Kills a part of a Postgres that has a manager with SIGKILL. Returns when it has ended.
    ///
    /// # Errors
    /// When the stack has no process of this name, it has no manager, or this part of it is dead already.
    pub async fn kill_part(&self, process: impl AsRef<str>, part: MemberPart) -> StackResult<()> {
        let process = process.as_ref();
        let ProcessTree { root, detached } = self.live_tree(process)?;
        if detached.is_none() {
            return Err(StackError::Invalid(format!("{process} has no manager: kill it as a whole")));
        }
        let tree = match part {
            MemberPart::Manager => ProcessTree { root, detached: None },
            MemberPart::Postgres => ProcessTree { root: None, detached },
        };
        if !tree.is_alive() {
            return Err(wrong_state(process, ProcessState::Dead, "this part of it is not running"));
        }
        self.kill_tree(process, &tree).await
    }

    /// Suspends a process and its descendants with SIGSTOP: its ports stay open, but it does not answer. Returns when
    /// all are suspended.
    ///
    /// # Errors
    /// When the stack has no process of this name, or it is dead.
    pub async fn pause(&self, process: impl AsRef<str>) -> StackResult<()> {
        let process = process.as_ref();
        let tree = self.live_tree(process)?;
        process::freeze(&tree).await.map(|_| ()).map_err(StackError::io(format!("pause {process}")))
    }

    /// Resumes a paused process. Has no effect on a running one.
    ///
    /// # Errors
    /// When the stack has no process of this name, or it is dead.
    pub fn resume(&self, process: impl AsRef<str>) -> StackResult<()> {
        let process = process.as_ref();
        let tree = self.live_tree(process)?;
        process::thaw(&tree).map_err(StackError::io(format!("resume {process}")))
    }

    /// Asks a process to end, and kills it after its `stop_timeout`. Returns whether it ended without being killed.
    ///
    /// # Errors
    /// When the stack has no process of this name, or it is dead already.
    pub async fn terminate(&self, process: impl AsRef<str>) -> StackResult<bool> {
        let process = process.as_ref();
        let record = self.record(process)?;
        let tree = self.live_tree(process)?;
        let ended = process::terminate(&tree, record.spec.stop.number(), record.spec.stop_timeout).await;
        let ended = ended.map_err(StackError::io(format!("stop {process}")))?;
        self.check_ended(process, ended)?;
        Ok(ended == StopOutcome::Graceful)
    }

    /// Starts a dead process again, on the same ports and with the same data. Returns when it is ready.
    ///
    /// # Errors
    /// When the stack has no process of this name, it is alive, another process listens on its port, or it does not
    /// become ready.
    pub async fn start_process(&self, process: impl AsRef<str>) -> StackResult<()> {
        let process = process.as_ref();
        let record = self.record(process)?;
        if let Some(run) = record.live_run() {
            return Err(wrong_state(process, run.identity.state(), "kill it before starting it, or use restart"));
        }
        self.launch(&record.spec).await
    }

    /// Stops a process if it is alive, and starts it again on the same ports and with the same data. Returns when it is
    /// ready.
    ///
    /// # Errors
    /// When the stack has no process of this name, it does not end, or it does not become ready.
    pub async fn restart(&self, process: impl AsRef<str>) -> StackResult<()> {
        let process = process.as_ref();
        if self.record(process)?.is_alive() {
            self.terminate(process).await?;
        }
        self.start_process(process).await
    }

    /// Waits until a process is ready, for example after it was resumed.
    ///
    /// # Errors
    /// When the stack has no process of this name, it is dead, or it does not become ready within its `ready_timeout`.
    pub async fn wait_until_ready(&self, process: impl AsRef<str>) -> StackResult<()> {
        let process = process.as_ref();
        let record = self.record(process)?;
        match record.live_run() {
            Some(run) => self.wait_for_readiness(&record.spec, run).await,
            None => Err(wrong_state(process, ProcessState::Dead, "start it again")),
        }
    }

    /// Path of the log of a process: its standard output and error, appended at each start.
    ///
    /// # Errors
    /// When the stack has no process of this name.
    pub fn log(&self, process: impl AsRef<str>) -> StackResult<PathBuf> {
        self.record(process.as_ref()).map(|record| self.folder.log(&record.spec.name))
    }

    pub(super) fn record(&self, process: &str) -> StackResult<ProcessRecord> {
        let state = self.state()?;
        state.find(process).cloned().ok_or_else(|| StackError::UnknownProcess {
            stack: self.name().to_owned(),
            process: process.to_owned(),
            known: state.names(),
        })
    }

    fn live_tree(&self, process: &str) -> StackResult<ProcessTree> {
        let tree = Some(self.record(process)?.tree()).filter(ProcessTree::is_alive);
        tree.ok_or_else(|| wrong_state(process, ProcessState::Dead, "start it first (`cargo stack restart`)"))
    }

    pub(super) fn check_ended(&self, process: &str, ended: StopOutcome) -> StackResult<()> {
        match ended {
            StopOutcome::StillRunning { pid } => {
                Err(StackError::SurvivedKill { process: process.to_owned(), pid, waited: process::SIGNAL_TIMEOUT })
            }
            StopOutcome::AlreadyDead | StopOutcome::Graceful | StopOutcome::Killed => Ok(()),
        }
    }
}

fn wrong_state(process: &str, state: ProcessState, remedy: &'static str) -> StackError {
    StackError::WrongState { process: process.to_owned(), state: state.word(), remedy }
}
