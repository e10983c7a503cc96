//! Ports of a stack's own on 127.0.0.1: free ones, kept for a process also while it is down.
//!
//! They lie outside of the range from which the system takes ports for outgoing connections. Otherwise a client's
//! connection could have the port of a server that was just killed, and the server could not come back to it; and a
//! client that keeps trying to reach a dead server could end up connected to itself.

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
    Places, StackError, StackResult,
    state::{self, Folder, State},
};

pub(crate) use holder::holder;

/// The range, where the system leaves it alone.
const FROM: u16 = 20_000;
/// How small a range is still of use.
const PORTS_MIN: u16 = 1_000;

const RETURNED_WITHIN: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Gives a process its ports, one for each of `services`, and writes them down. Those that it has it keeps, unless it
/// is down and somebody else uses one now.
pub(crate) fn reserve(
    places: &Places,
    folder: &Folder,
    process: &str,
    services: &[&str],
) -> StackResult<BTreeMap<String, u16>> {
    // Stacks that start at the same time must not find the same ports free.
    let path = places.stacks.join("ports.lock");
    let lock = File::create(&path).and_then(|lock| lock.lock().map(|()| lock));
    let _lock = lock.map_err(StackError::io(format!("lock {}", path.display())))?;
    let mut taken = ports_of_stacks(places);
    state::edit(folder, |state| {
        let lives = state.find(process).is_some_and(|record| record.alive().is_some());
        let mut ports = state.ports.remove(process).unwrap_or_default();
        ports.retain(|service, port| services.contains(&service.as_str()) && (lives || is_free(*port)));
        let missing: Vec<_> = services.iter().filter(|service| !ports.contains_key(**service)).collect();
        taken.extend(state.all_ports().chain(ports.values().copied()));
        let found = find(folder, &taken, missing.len())?;
        ports.extend(missing.into_iter().map(|service| (*service).to_owned()).zip(found));
        state.ports.insert(process.to_owned(), ports.clone());
        Ok(ports)
    })
}

/// Whether a server could listen there now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The same, for a port that its holder may just be giving back: a process that starts another one has passed it on for
/// a moment.
pub(crate) async fn becomes_free(port: u16) -> bool {
    let until = Instant::now() + RETURNED_WITHIN;
    while !is_free(port) {
        if Instant::now() >= until {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
    true
}

/// Ports that belong to stacks, up or down. What a stack has written that cannot be read claims nothing.
fn ports_of_stacks(places: &Places) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for entry in fs::read_dir(&places.stacks).into_iter().flatten().flatten() {
        let folder = entry.file_name().to_str().and_then(|name| Folder::of(places, name).ok());
        let state: Option<State> = folder.and_then(|folder| state::load(&folder).ok().flatten());
        ports.extend(state.iter().flat_map(State::all_ports));
    }
    ports
}

/// Looks from a place that depends on the stack, so that a stack that is made anew mostly has the ports that it had.
fn find(folder: &Folder, taken: &BTreeSet<u16>, wanted: usize) -> StackResult<Vec<u16>> {
    let (from, to) = range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    let mut hasher = DefaultHasher::new();
    folder.path().hash(&mut hasher);
    let start = from + u16::try_from(hasher.finish() % u64::from(to - from)).unwrap_or(0);
    let candidates = (start..=to).chain(from..start).filter(|port| !taken.contains(port));
    let found: Vec<_> = candidates.filter(|port| is_free(*port)).take(wanted).collect();
    if found.len() < wanted { Err(StackError::NoPorts { wanted, from, to }) } else { Ok(found) }
}

/// The ports to choose from: below those for outgoing connections, or above, or, where these are nearly all, among
/// them.
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
