//! Stops and deletes stacks.

use std::{collections::BTreeMap, fs};

use futures::future::try_join_all;

use super::{handle::Stack, owner_lock::OwnerLock};
use crate::{
    error::{StackError, StackResult},
    paths::StackPaths,
    process::{self, Detached, ProcessIdentity, ProcessTree, StopOutcome},
    servers::place_in_stage,
    state::{self, ProcessRecord, StackFolder},
};

/// Processes of a stopped stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// The processes that were alive.
    pub stopped: Vec<String>,
    /// The processes of `stopped` that did not end in time and were killed.
    pub killed: Vec<String>,
}

impl Stack {
    /// Stops everything, later stages first. If data is kept, each process is asked to end and is killed after its
    /// `stop_timeout`; otherwise everything is killed and the folder is removed.
    ///
    /// # Errors
    /// When another process owns the stack, or a process does not end.
    pub async fn stop(mut self) -> StackResult<StopReport> {
        let _lock = if self.ownership.is_none() { Some(OwnerLock::take(&self.folder).await?) } else { None };
        let primary = self.last_primary().await;
        let mut stages: BTreeMap<(u8, u8), Vec<ProcessRecord>> = BTreeMap::new();
        for record in self.state()?.processes.into_iter().filter(ProcessRecord::is_alive) {
            let place = (record.spec.stage, place_in_stage(&record.spec.name, primary.as_deref()));
            stages.entry(place).or_default().push(record);
        }
        let mut report = StopReport::default();
        for records in stages.into_values().rev() {
            let ends = try_join_all(records.iter().map(|record| self.stop_process(record))).await?;
            for (record, in_order) in records.iter().zip(ends) {
                report.stopped.push(record.spec.name.clone());
                if !in_order {
                    report.killed.push(record.spec.name.clone());
                }
            }
        }
        // The guardian kills remaining descendants.
        let ownership = self.ownership.take();
        drop(ownership.map(|ownership| ownership.guardian));
        if !self.keep {
            state::remove_folders(&self.folder)?;
            return Ok(report);
        }
        self.set_owner(None)?;
        Ok(report)
    }

    /// Removes the data and the logs of a stack, which must be down.
    ///
    /// # Errors
    /// When a process of it is alive, or another process owns it.
    pub async fn delete(paths: &StackPaths, name: &str) -> StackResult<()> {
        let folder = existing(paths, name)?;
        let _lock = OwnerLock::take(&folder).await?;
        let state = state::load(&folder)?.unwrap_or_default();
        if state.processes.iter().any(ProcessRecord::is_alive) {
            return Err(StackError::AlreadyRunning { stack: name.to_owned() });
        }
        state::remove_folders(&folder)
    }

    /// Kills the processes of a stack whose state file cannot be read, and removes that file. Returns the number of
    /// killed processes. Data is kept.
    ///
    /// # Errors
    /// When another process owns it, or a process does not end.
    pub async fn kill_unreadable(paths: &StackPaths, name: &str) -> StackResult<usize> {
        let folder = existing(paths, name)?;
        let _lock = OwnerLock::take(&folder).await?;
        let list = fs::read_to_string(folder.running()).unwrap_or_default();
        let roots = list.lines().filter_map(|line| line.parse::<ProcessIdentity>().ok()).map(ProcessTree::from);
        let rules = list.lines().filter_map(Detached::parse);
        let rules = rules.map(|detached| ProcessTree { root: None, detached: Some(detached) });
        let mut killed = 0;
        for tree in roots.chain(rules) {
            match process::kill(&tree).await.map_err(StackError::io(format!("kill a process of stack {name}")))? {
                StopOutcome::AlreadyDead => {}
                StopOutcome::StillRunning { pid } => {
                    let process = format!("stack {name}");
                    return Err(StackError::SurvivedKill { process, pid, waited: process::SIGNAL_TIMEOUT });
                }
                StopOutcome::Graceful | StopOutcome::Killed => killed += 1,
            }
        }
        for path in [folder.state(), folder.running()] {
            if path.exists() {
                fs::remove_file(&path).map_err(StackError::io(format!("remove {}", path.display())))?;
            }
        }
        Ok(killed)
    }

    async fn stop_process(&self, record: &ProcessRecord) -> StackResult<bool> {
        let name = &record.spec.name;
        if !self.keep {
            return self.kill_tree(name, &record.tree()).await.map(|()| true);
        }
        let ended = process::terminate(&record.tree(), record.spec.stop.number(), record.spec.stop_timeout).await;
        let ended = ended.map_err(StackError::io(format!("stop {name}")))?;
        self.check_ended(name, ended)?;
        Ok(ended != StopOutcome::Killed)
    }
}

fn existing(paths: &StackPaths, name: &str) -> StackResult<StackFolder> {
    let folder = StackFolder::new(paths, name)?;
    if folder.path().exists() { Ok(folder) } else { Err(StackError::StackNotFound { stack: name.to_owned() }) }
}
