//! What a stack writes down about itself, so that every program that knows its name can look after it.

mod file;
mod folder;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

pub(crate) use file::{edit, load};
pub(crate) use folder::Folder;

use crate::process::{Identity, ProcessSpec};

/// The form of the file. Another number is another program's file.
const VERSION: u32 = 1;

/// The file `state.json` of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    version: u32,
    /// The process whose end is the end of the stack. Without one, it runs until it is told to stop.
    pub(crate) owner: Option<Identity>,
    /// Ports that were given away: process, then what is served there. They stay with the process when it is down.
    pub(crate) ports: BTreeMap<String, BTreeMap<String, u16>>,
    /// The processes, by stage and name.
    pub(crate) processes: Vec<Record>,
}

/// A process of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) spec: ProcessSpec,
    /// Its last start. It may have ended since.
    pub(crate) run: Option<Run>,
}

/// One run of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) identity: Identity,
    /// The time of day at its start, in milliseconds since 1970.
    pub(crate) started_at_ms: u64,
    /// How long its log was then, in bytes.
    pub(crate) log_offset: u64,
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, owner: None, ports: BTreeMap::new(), processes: Vec::new() }
    }
}

impl State {
    pub(crate) fn find(&self, process: &str) -> Option<&Record> {
        self.processes.iter().find(|record| record.spec.name == process)
    }

    /// Notes a start, in the place of an earlier one.
    pub(crate) fn note(&mut self, spec: &ProcessSpec, run: Run) {
        let record = Record { spec: spec.clone(), run: Some(run) };
        match self.processes.iter_mut().find(|known| known.spec.name == spec.name) {
            Some(known) => *known = record,
            None => self.processes.push(record),
        }
        self.processes
            .sort_by(|one, other| (one.spec.stage, &one.spec.name).cmp(&(other.spec.stage, &other.spec.name)));
    }

    /// Every port that is somebody's.
    pub(crate) fn all_ports(&self) -> impl Iterator<Item = u16> {
        self.ports.values().flat_map(|ports| ports.values().copied())
    }

    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.processes.iter().map(|record| record.spec.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl Record {
    /// The process, where it lives.
    pub(crate) fn alive(&self) -> Option<&Run> {
        self.run.as_ref().filter(|run| run.identity.lives())
    }
}

impl Run {
    pub(crate) fn begun_now(identity: Identity, log_offset: u64) -> Self {
        Self { identity, started_at_ms: now_ms(), log_offset }
    }

    /// How long ago it started.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.started_at_ms))
    }
}

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
