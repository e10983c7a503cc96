//! Which key is where.

use memcache::exp::{Rendezvous, Router, default_hash_function};

use crate::{
    MemcachedConfig,
    key::{Key, Keys},
    lane::{Lane, LaneSettings},
};

/// The ways to all servers.
pub(super) struct Servers {
    names: Vec<String>,
    router: Rendezvous,
    lanes_per_server: usize,
    /// One server's after the other's.
    lanes: Vec<Lane>,
}

impl Servers {
    /// Begins to connect to all of them.
    pub(super) fn start(config: &MemcachedConfig, keys: &Keys) -> Self {
        let settings = LaneSettings::new(config, keys);
        let lanes_per_server = config.connections_per_server;
        let lanes = config
            .servers
            .iter()
            .flat_map(|server| (0..lanes_per_server).map(|_| Lane::start(server, settings.clone())))
            .collect();
        Self { names: config.servers.clone(), router: Rendezvous::new(), lanes_per_server, lanes }
    }

    /// The one way to a key.
    pub(super) fn of(&self, key: &Key) -> &Lane {
        &self.lanes[self.index_of(key)]
    }

    /// Always below the number of lanes.
    fn index_of(&self, key: &Key) -> usize {
        if self.lanes.len() == 1 {
            return 0;
        }
        place(&self.router, &self.names, self.lanes_per_server, key)
    }

    /// Sorts things by the way to their keys. Keeps their order, and says which place each had.
    pub(super) fn group<T>(&self, things: Vec<T>, key: impl Fn(&T) -> &Key) -> Vec<(&Lane, Vec<usize>, Vec<T>)> {
        let mut groups: Vec<(usize, Vec<usize>, Vec<T>)> = Vec::new();
        for (place, thing) in things.into_iter().enumerate() {
            let index = self.index_of(key(&thing));
            match groups.iter_mut().find(|(of, ..)| *of == index) {
                Some((_, places, group)) => {
                    places.push(place);
                    group.push(thing);
                }
                None => groups.push((index, vec![place], vec![thing])),
            }
        }
        groups.into_iter().map(|(index, places, group)| (&self.lanes[index], places, group)).collect()
    }
}

/// The lane of a key: the server that has it, and which of the connections to that one.
fn place(router: &Rendezvous, names: &[String], lanes_per_server: usize, key: &[u8]) -> usize {
    let server = router.route(key, names);
    let lanes = u64::try_from(lanes_per_server).unwrap_or(1);
    let lane = usize::try_from(default_hash_function(key) % lanes).unwrap_or(0);
    server * lanes_per_server + lane
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        (0..3).map(|number| format!("cache-{number}:11211")).collect()
    }

    fn keys() -> impl Iterator<Item = String> {
        (0..3_000).map(|number| format!("diptych:seats_g1:hall-{number}:"))
    }

    #[test]
    fn keys_are_spread_over_servers_and_connections() {
        let mut counts = [0; 12];
        for key in keys() {
            counts[place(&Rendezvous::new(), &names(), 4, key.as_bytes())] += 1;
        }
        assert!(counts.iter().all(|count| (150..350).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_server_that_goes_takes_only_its_own_keys_with_it() {
        let (all, router) = (names(), Rendezvous::new());
        let without: Vec<_> = all.iter().filter(|name| !name.starts_with("cache-1")).cloned().collect();
        for key in keys() {
            let before = &all[place(&router, &all, 1, key.as_bytes())];
            let after = &without[place(&router, &without, 1, key.as_bytes())];
            assert!(before == after || before.starts_with("cache-1"), "{key} moved from {before} to {after}");
        }
    }

    /// The library hashes with what the standard library has today. If that changes, processes of two versions look for a key on two servers,
    /// and one of them finds old rows there: then the hash must be made our own, as it was.
    #[test]
    fn the_way_to_a_key_never_changes() {
        let places: Vec<_> =
            keys().take(16).map(|key| place(&Rendezvous::new(), &names(), 2, key.as_bytes())).collect();
        assert_eq!(places, [2, 4, 3, 2, 2, 5, 3, 5, 1, 0, 4, 3, 5, 4, 3, 1]);
    }
}
