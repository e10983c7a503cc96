//! Signals to a process and its descendants: Postgres serves sessions in child processes, which must be paused or
//! killed too.

use std::{io, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    Handle, Identity,
    proc_fs::{self, Stat},
};

/// Time limit for SIGSTOP and SIGKILL to take effect.
pub(crate) const OBEYED_WITHIN: Duration = Duration::from_secs(10);
/// Polling interval for process states.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Outcome of stopping a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was already dead.
    WasDead,
    /// It ended after the signal.
    InOrder,
    /// It did not end in time and was killed.
    Killed,
    /// This process of the tree still exists.
    Not { pid: u32 },
}

/// Suspends the whole tree with SIGSTOP. Returns its members, the root first; empty if the root is dead.
pub(crate) async fn freeze(root: &Identity) -> io::Result<Vec<Handle>> {
    let Some(root) = Handle::open(root)? else { return Ok(Vec::new()) };
    root.signal(Signal::STOP)?;
    let mut members = vec![root];
    // A running parent may start another child, so each round waits until all known processes are stopped.
    loop {
        stand_still(&members).await;
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
pub(crate) fn thaw(root: &Identity) -> io::Result<()> {
    for member in living(root)?.iter().rev() {
        member.signal(Signal::CONT)?;
    }
    Ok(())
}

/// Kills the whole tree with SIGKILL and returns when it has ended.
pub(crate) async fn kill(root: &Identity) -> io::Result<Ended> {
    // Suspended first: a process killed while it starts a child would leave the child behind.
    let members = freeze(root).await?;
    if members.is_empty() {
        return Ok(Ended::WasDead);
    }
    for member in &members {
        member.signal(Signal::KILL)?;
    }
    Ok(gone(&members, Ended::Killed).await)
}

/// Sends the signal to the root, and kills the tree if the root does not end in time.
pub(crate) async fn terminate(root: &Identity, signal: Signal, patience: Duration) -> io::Result<Ended> {
    let members = living(root)?;
    let Some(first) = members.first() else { return Ok(Ended::WasDead) };
    first.signal(signal)?;
    // A stopped process handles its signals when it is resumed.
    for member in &members {
        member.signal(Signal::CONT)?;
    }
    if !first.ends_within(patience).await {
        return kill(root).await;
    }
    // Descendants that outlive the root are killed.
    for member in &members {
        member.signal(Signal::KILL)?;
    }
    Ok(gone(&members, Ended::InOrder).await)
}

/// Returns the memory of the tree in KiB: that of the root, and the anonymous memory of its descendants.
pub(crate) fn memory_kib(root: &Identity) -> u64 {
    let Ok(members) = living(root) else { return 0 };
    let pids = members.iter().map(|member| member.identity.pid);
    pids.enumerate().map(|(place, pid)| proc_fs::status_kib(pid, if place == 0 { "VmRSS" } else { "RssAnon" })).sum()
}

fn living(root: &Identity) -> io::Result<Vec<Handle>> {
    let mut members: Vec<Handle> = Handle::open(root)?.into_iter().collect();
    loop {
        let found = children(&members)?;
        if found.is_empty() {
            return Ok(members);
        }
        members.extend(found);
    }
}

/// Finds children of these processes that are not among them.
fn children(members: &[Handle]) -> io::Result<Vec<Handle>> {
    let knows = |pid: u32| members.iter().any(|member| member.identity.pid == pid);
    let found = proc_fs::all().into_iter().filter(|stat| knows(stat.parent) && !knows(stat.pid));
    let handles = found.filter_map(|stat| Handle::open(&Identity::of(stat.pid)?).transpose());
    handles.collect()
}

async fn stand_still(members: &[Handle]) {
    let until = Instant::now() + OBEYED_WITHIN;
    let moves =
        |member: &Handle| Stat::of(member.identity.pid).is_some_and(|stat| !stat.is_stopped() && !stat.has_ended());
    while members.iter().any(moves) && Instant::now() < until {
        sleep(LOOK_AGAIN).await;
    }
}

async fn gone(members: &[Handle], how: Ended) -> Ended {
    let until = Instant::now() + OBEYED_WITHIN;
    for member in members {
        if !member.ends_within(until.saturating_duration_since(Instant::now())).await {
            return Ended::Not { pid: member.identity.pid };
        }
    }
    how
}

#[cfg(test)]
mod tests;
