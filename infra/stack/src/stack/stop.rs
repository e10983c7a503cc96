//! Stops and deletes stacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use futures::future::try_join_all;

use super::{OwnerLock, Stack};
use crate::{
    Places, StackError, StackResult,
    process::{self, Ended, Identity},
    state::{self, Folder, Record, Run},
};

/// Processes of a stopped stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Those that were alive.
    pub lived: Vec<String>,
    /// Those of them that did not end in time and were killed.
    pub killed: Vec<String>,
}

impl Stack {
    /// Stops everything, later stages first. If data is kept, each process is asked to end and is killed after its
    /// `stop_timeout`; otherwise everything is killed and the folder is removed.
    ///
    /// # Errors
    /// When another process owns the stack, or a process does not end.
    pub async fn stop(mut self) -> StackResult<Stopped> {
        let _lock = if self.ownership.is_none() { Some(OwnerLock::take(&self.folder).await?) } else { None };
        let mut stages: BTreeMap<u8, Vec<(Record, Run)>> = BTreeMap::new();
        for record in self.state()?.processes {
            if let Some(run) = record.alive().cloned() {
                stages.entry(record.spec.stage).or_default().push((record, run));
            }
        }
        let mut stopped = Stopped::default();
        for records in stages.into_values().rev() {
            let ends = try_join_all(records.iter().map(|(record, run)| self.end(record, run))).await?;
            for ((record, _), in_order) in records.iter().zip(ends) {
                stopped.lived.push(record.spec.name.clone());
                if !in_order {
                    stopped.killed.push(record.spec.name.clone());
                }
            }
        }
        // The guardian kills remaining descendants.
        let ownership = self.ownership.take();
        drop(ownership.map(|ownership| ownership.guardian));
        if !self.keep {
            remove_folders(&self.folder)?;
            return Ok(stopped);
        }
        self.set_owner(None)?;
        Ok(stopped)
    }

    /// Removes the data and the logs of a stack, which must be down.
    ///
    /// # Errors
    /// When a process of it is alive, or another process owns it.
    pub async fn delete(places: &Places, name: &str) -> StackResult<()> {
        let folder = existing(places, name)?;
        let _lock = OwnerLock::take(&folder).await?;
        let state = state::load(&folder)?.unwrap_or_default();
        if state.processes.iter().any(|record| record.alive().is_some()) {
            return Err(StackError::RunsAlready { stack: name.to_owned() });
        }
        remove_folders(&folder)
    }

    /// Kills the processes of a stack whose state file cannot be read, and removes that file. Returns the number of
    /// killed processes. Data is kept.
    ///
    /// # Errors
    /// When another process owns it, or a process does not end.
    pub async fn clear(places: &Places, name: &str) -> StackResult<usize> {
        let folder = existing(places, name)?;
        let _lock = OwnerLock::take(&folder).await?;
        let list = fs::read_to_string(folder.running()).unwrap_or_default();
        let mut killed = 0;
        for identity in list.lines().filter_map(|line| line.parse::<Identity>().ok()) {
            match process::kill(&identity).await.map_err(StackError::io(format!("kill process {}", identity.pid)))? {
                Ended::WasDead => {}
                Ended::Not { pid } => {
                    let process = format!("stack {name}");
                    return Err(StackError::Immortal { process, pid, waited: process::OBEYED_WITHIN });
                }
                Ended::InOrder | Ended::Killed => killed += 1,
            }
        }
        for path in [folder.state(), folder.running()] {
            if path.exists() {
                fs::remove_file(&path).map_err(StackError::io(format!("remove {}", path.display())))?;
            }
        }
        Ok(killed)
    }

    async fn end(&self, record: &Record, run: &Run) -> StackResult<bool> {
        let name = &record.spec.name;
        if !self.keep {
            return self.kill_tree(name, &run.identity).await.map(|()| true);
        }
        let ended = process::terminate(&run.identity, record.spec.stop.number(), record.spec.stop_timeout).await;
        let ended = ended.map_err(StackError::io(format!("stop {name}")))?;
        self.gone(name, ended)?;
        Ok(ended != Ended::Killed)
    }
}

fn existing(places: &Places, name: &str) -> StackResult<Folder> {
    let folder = Folder::of(places, name)?;
    if folder.path().exists() { Ok(folder) } else { Err(StackError::NoStack { stack: name.to_owned() }) }
}

/// Removes the stack's folder, and working folders of its processes outside of it.
pub(super) fn remove_folders(folder: &Folder) -> StackResult<()> {
    let records = state::load(folder).ok().flatten().map(|state| state.processes).unwrap_or_default();
    let elsewhere: BTreeSet<PathBuf> = records.into_iter().filter_map(|record| record.spec.folder).collect();
    for other in elsewhere.iter().filter(|other| !other.starts_with(folder.path()) && other.exists()) {
        fs::remove_dir_all(other).map_err(StackError::io(format!("remove the folder {}", other.display())))?;
    }
    folder.remove()
}
