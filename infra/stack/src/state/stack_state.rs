//! The content of `state.json`.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::process::{ProcessIdentity, ProcessSpec, ProcessTree};

/// Version of the file format.
pub(super) const VERSION: u32 = 1;

/// The file `state.json` of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StackState {
    pub(super) version: u32,
    /// The owner, whose end stops the stack. Without one, the stack runs until it is stopped.
    pub(crate) owner: Option<ProcessIdentity>,
    /// A second address that its servers listen on, for pods.
    #[serde(default)]
    pub(crate) pod_address: Option<Ipv4Addr>,
    /// Number of standbys of its Postgres.
    #[serde(default)]
    pub(crate) standbys: u16,
    /// Assigned ports, by process and service. A process keeps them while it is down.
    pub(crate) ports: BTreeMap<String, BTreeMap<String, u16>>,
    /// The processes, by stage and name.
    pub(crate) processes: Vec<ProcessRecord>,
}

/// A process of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRecord {
    pub(crate) spec: ProcessSpec,
    /// Its last run, which may have ended.
    pub(crate) run: Option<ProcessRun>,
}

/// One run of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessRun {
    pub(crate) identity: ProcessIdentity,
    /// The time of day at its start, in milliseconds since 1970.
    pub(crate) started_at_ms: u64,
    /// Length of its log at the start, in bytes.
    pub(crate) log_offset: u64,
}

impl Default for StackState {
    fn default() -> Self {
        Self {
            version: VERSION,
            owner: None,
            pod_address: None,
            standbys: 0,
            ports: BTreeMap::new(),
            processes: Vec::new(),
        }
    }
}

impl StackState {
    pub(crate) fn find(&self, process: &str) -> Option<&ProcessRecord> {
        self.processes.iter().find(|record| record.spec.name == process)
    }

    /// Records a start, replacing an earlier one.
    pub(crate) fn record_start(&mut self, spec: &ProcessSpec, run: ProcessRun) {
        let record = ProcessRecord { spec: spec.clone(), run: Some(run) };
        match self.processes.iter_mut().find(|known| known.spec.name == spec.name) {
            Some(known) => *known = record,
            None => self.processes.push(record),
        }
        self.processes
            .sort_by(|one, other| (one.spec.stage, &one.spec.name).cmp(&(other.spec.stage, &other.spec.name)));
    }

    /// Returns every assigned port.
    pub(crate) fn all_ports(&self) -> impl Iterator<Item = u16> {
        self.ports.values().flat_map(|ports| ports.values().copied())
    }

    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.processes.iter().map(|record| record.spec.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl ProcessRecord {
    /// Returns the last run if the process is alive.
    pub(crate) fn live_run(&self) -> Option<&ProcessRun> {
        self.run.as_ref().filter(|run| run.identity.is_alive())
    }

    /// Returns the process with all that belongs to it, dead or alive.
    pub(crate) fn tree(&self) -> ProcessTree {
        let root = self.run.as_ref().map(|run| run.identity.clone());
        ProcessTree { root, detached: self.spec.detached.clone() }
    }

    /// Returns whether it, or a process that belongs to it, is alive.
    pub(crate) fn is_alive(&self) -> bool {
        self.tree().is_alive()
    }
}

impl ProcessRun {
    pub(crate) fn started_now(identity: ProcessIdentity, log_offset: u64) -> Self {
        Self { identity, started_at_ms: now_ms(), log_offset }
    }

    /// Time since the start.
    pub(crate) fn uptime(&self) -> Duration {
        Duration::from_millis(now_ms().saturating_sub(self.started_at_ms))
    }
}

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
