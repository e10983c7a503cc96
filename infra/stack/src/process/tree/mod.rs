//! Signals to a process and its descendants: Postgres serves sessions in child processes, which must be paused or
//! killed too.

use std::{io, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    handle::ProcessHandle,
    identity::ProcessIdentity,
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

/// Suspends the whole tree with SIGSTOP. Returns its members, the root first; empty if the root is dead.
pub(crate) async fn freeze(root: &ProcessIdentity) -> io::Result<Vec<ProcessHandle>> {
    let Some(root) = ProcessHandle::open(root)? else { return Ok(Vec::new()) };
    root.signal(Signal::STOP)?;
    let mut members = vec![root];
    // A running parent may start another child, so each round waits until all known processes are stopped.
    loop {
        wait_until_stopped(&members).await;
        let found = children(&members)?;
        if found.is_empty() {
            return Ok(members);
        }
        for child in found {
            child.signal(Signal::STOP)?;
            members.push(child);
        }
    }
}

/// Resumes the whole tree with SIGCONT.
pub(crate) fn thaw(root: &ProcessIdentity) -> io::Result<()> {
    for member in live_members(root)?.iter().rev() {
        member.signal(Signal::CONT)?;
    }
    Ok(())
}

/// Kills the whole tree with SIGKILL and returns when it has ended.
pub(crate) async fn kill(root: &ProcessIdentity) -> io::Result<StopOutcome> {
    // Suspended first: a process killed while it starts a child would leave the child behind.
    let members = freeze(root).await?;
    if members.is_empty() {
        return Ok(StopOutcome::AlreadyDead);
    }
    for member in &members {
        member.signal(Signal::KILL)?;
    }
    Ok(wait_until_ended(&members, StopOutcome::Killed).await)
}

/// Sends the signal to the root, and kills the tree if the root does not end in time.
pub(crate) async fn terminate(root: &ProcessIdentity, signal: Signal, wait_max: Duration) -> io::Result<StopOutcome> {
    let members = live_members(root)?;
    let Some(first) = members.first() else { return Ok(StopOutcome::AlreadyDead) };
    first.signal(signal)?;
    // A stopped process handles its signals when it is resumed.
    for member in &members {
        member.signal(Signal::CONT)?;
    }
    if !first.ends_within(wait_max).await {
        return kill(root).await;
    }
    // Descendants that outlive the root are killed.
    for member in &members {
        member.signal(Signal::KILL)?;
    }
    Ok(wait_until_ended(&members, StopOutcome::Graceful).await)
}

/// Returns the memory of the tree in KiB: that of the root, and the anonymous memory of its descendants.
pub(crate) fn memory_kib(root: &ProcessIdentity) -> u64 {
    let Ok(members) = live_members(root) else { return 0 };
    let pids = members.iter().map(|member| member.identity.pid);
    pids.enumerate().map(|(place, pid)| proc_fs::status_kib(pid, if place == 0 { "VmRSS" } else { "RssAnon" })).sum()
}

fn live_members(root: &ProcessIdentity) -> io::Result<Vec<ProcessHandle>> {
    let mut members: Vec<ProcessHandle> = ProcessHandle::open(root)?.into_iter().collect();
    loop {
        let found = children(&members)?;
        if found.is_empty() {
            return Ok(members);
        }
        members.extend(found);
    }
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
