//! Routing of keys to servers and connections.

use memcache::exp::{Rendezvous, Router, default_hash_function};

use crate::{
    config::MemcachedConfig,
    connection::{Connection, ConnectionSettings},
    key::{Key, Keys},
};

/// The connections to all servers.
pub(super) struct Servers {
    addresses: Vec<String>,
    router: Rendezvous,
    connections_per_server: usize,
    /// Grouped by server, in the order of `addresses`.
    connections: Vec<Connection>,
}

impl Servers {
    /// Begins to connect to all servers.
    pub(super) fn start(config: &MemcachedConfig, keys: &Keys) -> Self {
        let settings = ConnectionSettings::new(config, keys);
        let connections_per_server = config.connections_per_server;
        let connections = config
            .servers
            .iter()
            .flat_map(|server| (0..connections_per_server).map(|_| Connection::start(server, settings.clone())))
            .collect();
        Self { addresses: config.servers.clone(), router: Rendezvous::new(), connections_per_server, connections }
    }

    /// The only connection for a key.
    pub(super) fn connection_of(&self, key: &Key) -> &Connection {
        &self.connections[self.index_of(key)]
    }

    /// The index of a key's connection, always below the number of connections.
    fn index_of(&self, key: &Key) -> usize {
        if self.connections.len() == 1 {
            return 0;
        }
        connection_index(&self.router, &self.addresses, self.connections_per_server, key)
    }

    /// Groups items by the connection of their keys. Keeps their order, and returns the original index of each.
    pub(super) fn group<T>(&self, items: Vec<T>, key: impl Fn(&T) -> &Key) -> Vec<(&Connection, Vec<usize>, Vec<T>)> {
        let mut groups: Vec<(usize, Vec<usize>, Vec<T>)> = Vec::new();
        for (item_index, item) in items.into_iter().enumerate() {
            let index = self.index_of(key(&item));
            match groups.iter_mut().find(|(of, ..)| *of == index) {
                Some((_, indexes, group)) => {
                    indexes.push(item_index);
                    group.push(item);
                }
                None => groups.push((index, vec![item_index], vec![item])),
            }
        }
        groups.into_iter().map(|(index, indexes, group)| (&self.connections[index], indexes, group)).collect()
    }
}

/// The index of a key's connection: its server by rendezvous hashing, then one of the connections to that server.
fn connection_index(router: &Rendezvous, addresses: &[String], connections_per_server: usize, key: &[u8]) -> usize {
    let server = router.route(key, addresses);
    let connections = u64::try_from(connections_per_server).unwrap_or(1);
    let connection = usize::try_from(default_hash_function(key) % connections).unwrap_or(0);
    server * connections_per_server + connection
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Vec<String> {
        (0..3).map(|number| format!("cache-{number}:11211")).collect()
    }

    fn keys() -> impl Iterator<Item = String> {
        (0..3_000).map(|number| format!("diptych:seats_g1:hall-{number}:"))
    }

    #[test]
    fn keys_are_spread_over_servers_and_connections() {
        let mut counts = [0; 12];
        for key in keys() {
            counts[connection_index(&Rendezvous::new(), &addresses(), 4, key.as_bytes())] += 1;
        }
        assert!(counts.iter().all(|count| (150..350).contains(count)), "{counts:?}");
    }

    #[test]
    fn removing_a_server_moves_only_its_own_keys() {
        let (all, router) = (addresses(), Rendezvous::new());
        let without: Vec<_> = all.iter().filter(|address| !address.starts_with("cache-1")).cloned().collect();
        for key in keys() {
            let before = &all[connection_index(&router, &all, 1, key.as_bytes())];
            let after = &without[connection_index(&router, &without, 1, key.as_bytes())];
            assert!(before == after || before.starts_with("cache-1"), "{key} moved from {before} to {after}");
        }
    }

    /// The library uses the standard library's current hash. If that changes, processes of two versions look for a key
    /// on two servers, and one of them finds old rows there: then this crate must implement the old hash itself.
    #[test]
    fn the_connection_of_a_key_never_changes() {
        let indexes: Vec<_> =
            keys().take(16).map(|key| connection_index(&Rendezvous::new(), &addresses(), 2, key.as_bytes())).collect();
        assert_eq!(indexes, [2, 4, 3, 2, 2, 5, 3, 5, 1, 0, 4, 3, 5, 4, 3, 1]);
    }
}
