//! A process with all that it started: Postgres answers by children, so to pause or kill it means all of them.

use std::{io, time::Duration};

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{
    Handle, Identity,
    proc_fs::{self, Stat},
};

/// How long to wait for the system to carry out a signal that no process can refuse.
pub(crate) const OBEYED_WITHIN: Duration = Duration::from_secs(10);
/// How long between two looks at what nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What became of a process that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was not there.
    WasDead,
    /// By itself.
    InOrder,
    /// It had to be killed, because it did not end in time.
    Killed,
    /// Not at all: this process of the tree is still there.
    Not { pid: u32 },
}

/// Stops the whole tree with SIGSTOP. Returns its members, the root first; none where the root is not there.
pub(crate) async fn freeze(root: &Identity) -> io::Result<Vec<Handle>> {
    let Some(root) = Handle::open(root)? else { return Ok(Vec::new()) };
    root.signal(Signal::STOP)?;
    let mut members = vec![root];
    // A parent that is still running may just be starting another child, so each round waits until all known ones stand
    // still.
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

/// Continues the whole tree.
pub(crate) fn thaw(root: &Identity) -> io::Result<()> {
    for member in living(root)?.iter().rev() {
        member.signal(Signal::CONT)?;
    }
    Ok(())
}

/// Kills the whole tree with SIGKILL and returns when it is gone.
pub(crate) async fn kill(root: &Identity) -> io::Result<Ended> {
    // Frozen first: whoever is killed while it starts a child would leave the child behind.
    let members = freeze(root).await?;
    if members.is_empty() {
        return Ok(Ended::WasDead);
    }
    for member in &members {
        member.signal(Signal::KILL)?;
    }
    Ok(gone(&members, Ended::Killed).await)
}

/// Asks the root to end, and kills the tree where it has not ended in time.
pub(crate) async fn terminate(root: &Identity, signal: Signal, patience: Duration) -> io::Result<Ended> {
    let members = living(root)?;
    let Some(first) = members.first() else { return Ok(Ended::WasDead) };
    first.signal(signal)?;
    // A stopped process takes its signals when it goes on.
    for member in &members {
        member.signal(Signal::CONT)?;
    }
    if !first.ends_within(patience).await {
        return kill(root).await;
    }
    // Who had no time to follow its parent has none left.
    for member in &members {
        member.signal(Signal::KILL)?;
    }
    Ok(gone(&members, Ended::InOrder).await)
}

/// How much memory the tree holds: what the root has, and what each of its children has alone. In KiB.
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

/// The children of these that are not among them.
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
