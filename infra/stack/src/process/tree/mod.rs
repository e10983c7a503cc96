//! Signals to a process, its descendants and its detached processes: Postgres serves sessions in child processes, which
//! must be paused or killed too, and Patroni's Postgres is not a child of Patroni.

use std::{io, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    detached::Detached,
    handle::ProcessHandle,
    identity::{ProcessIdentity, ProcessState},
    proc_fs::{self, Stat},
};

/// Time limit for SIGSTOP and SIGKILL to take effect.
pub(crate) const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Polling interval for process states.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Outcome of stopping a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopOutcome {
    /// It was already dead.
    AlreadyDead,
    /// It ended after the signal.
    Graceful,
    /// It did not end in time and was killed.
    Killed,
    /// This process of the tree still exists.
    StillRunning { pid: u32 },
}

/// A process, its descendants, and those that belong to it without being its descendants.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessTree {
    pub(crate) root: Option<ProcessIdentity>,
    pub(crate) detached: Option<Detached>,
}

impl From<ProcessIdentity> for ProcessTree {
    fn from(root: ProcessIdentity) -> Self {
        Self { root: Some(root), detached: None }
    }
}

impl ProcessTree {
    /// Returns the state of the root, or whether anything else of the tree is alive.
    pub(crate) fn state(&self) -> ProcessState {
        match self.root.as_ref().map_or(ProcessState::Dead, ProcessIdentity::state) {
            ProcessState::Dead if self.has_detached() => ProcessState::Unmanaged,
            state => state,
        }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.root.as_ref().is_some_and(ProcessIdentity::is_alive) || self.has_detached()
    }

    pub(crate) fn has_detached(&self) -> bool {
        self.detached.as_ref().is_some_and(|detached| !detached.alive().is_empty())
    }

    fn live_root(&self) -> io::Result<Option<ProcessHandle>> {
        self.root.as_ref().map_or(Ok(None), ProcessHandle::open)
    }

    /// Finds live members that are not among these.
    fn others(&self, members: &[ProcessHandle]) -> io::Result<Vec<ProcessHandle>> {
        let mut found = children(members)?;
        for handle in self.detached.as_ref().map_or(Ok(Vec::new()), Detached::handles)? {
            let is_new = |known: &[ProcessHandle]| known.iter().all(|member| member.identity != handle.identity);
            if is_new(members) && is_new(&found) {
                found.push(handle);
            }
        }
        Ok(found)
    }

    fn live_members(&self) -> io::Result<Vec<ProcessHandle>> {
        let mut members: Vec<ProcessHandle> = self.live_root()?.into_iter().collect();
        loop {
            let found = self.others(&members)?;
            if found.is_empty() {
                return Ok(members);
            }
            members.extend(found);
        }
    }
}

/// Suspends the whole tree with SIGSTOP. Returns its members, the root first; empty if all are dead.
pub(crate) async fn freeze(tree: &ProcessTree) -> io::Result<Vec<ProcessHandle>> {
    let mut members: Vec<ProcessHandle> = tree.live_root()?.into_iter().collect();
    for member in &members {
        member.signal(Signal::STOP)?;
    }
    // A running parent may start another child, so each round waits until all known processes are stopped.
    loop {
        wait_until_stopped(&members).await;
        let found = tree.others(&members)?;
        if found.is_empty() {
            return Ok(members);
        }
        for other in found {
            other.signal(Signal::STOP)?;
            members.push(other);
        }
    }
}

/// Resumes the whole tree with SIGCONT.
pub(crate) fn thaw(tree: &ProcessTree) -> io::Result<()> {
    for member in tree.live_members()?.iter().rev() {
        member.signal(Signal::CONT)?;
    }
    Ok(())
}

/// Kills the whole tree with SIGKILL and returns when it has ended.
pub(crate) async fn kill(tree: &ProcessTree) -> io::Result<StopOutcome> {
    // Suspended first: a process killed while it starts a child would leave the child behind.
    let members = freeze(tree).await?;
    if members.is_empty() {
        return Ok(StopOutcome::AlreadyDead);
    }
    for member in &members {
        member.signal(Signal::KILL)?;
    }
    Ok(wait_until_ended(&members, StopOutcome::Killed).await)
}

/// Sends the signal to the root, and kills the tree if the root does not end in time. Without a live root, the rest of
/// the tree is killed.
pub(crate) async fn terminate(tree: &ProcessTree, signal: Signal, wait_max: Duration) -> io::Result<StopOutcome> {
    let members = tree.live_members()?;
    let root = tree.root.as_ref();
    let Some(first) = members.first().filter(|first| Some(&first.identity) == root) else { return kill(tree).await };
    first.signal(signal)?;
    // A stopped process handles its signals when it is resumed.
    for member in &members {
        member.signal(Signal::CONT)?;
    }
    if !first.ends_within(wait_max).await {
        return kill(tree).await;
    }
    // Descendants that outlive the root are killed.
    for member in members.iter().chain(&tree.live_members()?) {
        member.signal(Signal::KILL)?;
    }
    Ok(wait_until_ended(&members, StopOutcome::Graceful).await)
}

/// Returns the memory of the tree in KiB: that of the root, and the anonymous memory of the others. Of detached ones,
/// shared memory counts once.
pub(crate) fn memory_kib(tree: &ProcessTree) -> u64 {
    let Ok(members) = tree.live_members() else { return 0 };
    let sum: u64 = members
        .iter()
        .map(|member| {
            let is_root = Some(&member.identity) == tree.root.as_ref();
            proc_fs::status_kib(member.identity.pid, if is_root { "VmRSS" } else { "RssAnon" })
        })
        .sum();
    let detached = tree.detached.as_ref().map(Detached::alive).unwrap_or_default();
    sum + detached.iter().map(|process| proc_fs::status_kib(process.pid, "RssShmem")).max().unwrap_or(0)
}

/// Finds children of these processes that are not among them.
fn children(members: &[ProcessHandle]) -> io::Result<Vec<ProcessHandle>> {
    let knows = |pid: u32| members.iter().any(|member| member.identity.pid == pid);
    let found = proc_fs::all().into_iter().filter(|stat| knows(stat.parent) && !knows(stat.pid));
    let handles = found.filter_map(|stat| ProcessHandle::open(&ProcessIdentity::of(stat.pid)?).transpose());
    handles.collect()
}

async fn wait_until_stopped(members: &[ProcessHandle]) {
    let until = Instant::now() + SIGNAL_TIMEOUT;
    let moves = |member: &ProcessHandle| {
        Stat::of(member.identity.pid).is_some_and(|stat| !stat.is_stopped() && !stat.has_ended())
    };
    while members.iter().any(moves) && Instant::now() < until {
        sleep(POLL_INTERVAL).await;
    }
}

async fn wait_until_ended(members: &[ProcessHandle], how: StopOutcome) -> StopOutcome {
    let until = Instant::now() + SIGNAL_TIMEOUT;
    for member in members {
        if !member.ends_within(until.saturating_duration_since(Instant::now())).await {
            return StopOutcome::StillRunning { pid: member.identity.pid };
        }
    }
    how
}

#[cfg(test)]
mod tests;
