//! Assigns free ports on 127.0.0.1, which a process keeps while it is down.
//!
//! They are outside the ephemeral range of outgoing connections. Otherwise a client's connection could occupy the port
//! of a killed server and prevent its restart, and a client that keeps connecting to a dead server could connect to
//! itself.

mod holder;

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fs::{self, File},
    hash::{Hash, Hasher},
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    error::{StackError, StackResult},
    paths::StackPaths,
    state::{self, ProcessRecord, StackFolder, StackState},
};

pub(crate) use holder::holder;

/// Start of the range, unless it is in the ephemeral range.
const FROM: u16 = 20_000;
/// Minimum size of the range.
const PORTS_MIN: u16 = 1_000;

const RELEASE_TIMEOUT: Duration = Duration::from_millis(500);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Assigns ports to a process, one for each of `services`, and saves them. It keeps its ports, unless it is down and
/// another process uses one of them.
pub(crate) fn reserve(
    paths: &StackPaths,
    folder: &StackFolder,
    process: &str,
    services: &[&str],
) -> StackResult<BTreeMap<String, u16>> {
    // Concurrently starting stacks must not choose the same ports.
    let path = paths.stacks.join("ports.lock");
    let lock = File::create(&path).and_then(|lock| lock.lock().map(|()| lock));
    let _lock = lock.map_err(StackError::io(format!("lock {}", path.display())))?;
    let mut taken = ports_of_stacks(paths);
    state::edit(folder, |state| {
        let is_alive = state.find(process).is_some_and(ProcessRecord::is_alive);
        let mut ports = state.ports.remove(process).unwrap_or_default();
        ports.retain(|service, port| services.contains(&service.as_str()) && (is_alive || is_free(*port)));
        let missing: Vec<_> = services.iter().filter(|service| !ports.contains_key(**service)).collect();
        taken.extend(state.all_ports().chain(ports.values().copied()));
        let found = find(folder, &taken, missing.len())?;
        ports.extend(missing.into_iter().map(|service| (*service).to_owned()).zip(found));
        state.ports.insert(process.to_owned(), ports.clone());
        Ok(ports)
    })
}

/// Returns whether a server could listen on the port now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Waits briefly until the port is free: a child inherits its socket between fork and exec. Returns whether it became
/// free.
pub(crate) async fn wait_until_free(port: u16) -> bool {
    let until = Instant::now() + RELEASE_TIMEOUT;
    while !is_free(port) {
        if Instant::now() >= until {
            return false;
        }
        sleep(POLL_INTERVAL).await;
    }
    true
}

/// Ports assigned in all stacks, running or not. Unreadable states are ignored.
fn ports_of_stacks(paths: &StackPaths) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for entry in fs::read_dir(&paths.stacks).into_iter().flatten().flatten() {
        let folder = entry.file_name().to_str().and_then(|name| StackFolder::new(paths, name).ok());
        let state: Option<StackState> = folder.and_then(|folder| state::load(&folder).ok().flatten());
        ports.extend(state.iter().flat_map(StackState::all_ports));
    }
    ports
}

/// Starts the search at a port derived from the path of the stack, so that a recreated stack usually gets the same
/// ports.
fn find(folder: &StackFolder, taken: &BTreeSet<u16>, wanted: usize) -> StackResult<Vec<u16>> {
    let (from, to) = range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    let mut hasher = DefaultHasher::new();
    folder.path().hash(&mut hasher);
    let start = from + u16::try_from(hasher.finish() % u64::from(to - from)).unwrap_or(0);
    let candidates = (start..=to).chain(from..start).filter(|port| !taken.contains(port));
    let found: Vec<_> = candidates.filter(|port| is_free(*port)).take(wanted).collect();
    if found.len() < wanted { Err(StackError::NoFreePorts { wanted, from, to }) } else { Ok(found) }
}

/// Range to choose from: below the ephemeral range, or above it, or within it if it covers nearly all ports.
fn range(outgoing: &str) -> (u16, u16) {
    let mut numbers = outgoing.split_ascii_whitespace().filter_map(|number| number.parse::<u16>().ok());
    let (low, high) = (numbers.next().unwrap_or(32_768), numbers.next().unwrap_or(60_999));
    if low >= FROM + PORTS_MIN {
        (FROM, low - 1)
    } else if high <= u16::MAX - PORTS_MIN {
        (high + 1, u16::MAX)
    } else {
        (FROM, u16::MAX)
    }
}

#[cfg(test)]
mod tests;
