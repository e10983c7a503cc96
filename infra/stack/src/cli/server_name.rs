//! Names of servers on the command line.

use clap::ValueEnum;
use diptych_stack::Server;

/// A server.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ServerName {
    Postgres,
    Kafka,
    Cassandra,
    Memcached,
}

/// Returns these servers, or all if none is given.
pub(super) fn chosen(names: &[ServerName]) -> Vec<Server> {
    if names.is_empty() { Server::ALL.into() } else { names.iter().copied().map(Server::from).collect() }
}

impl From<ServerName> for Server {
    fn from(name: ServerName) -> Self {
        match name {
            ServerName::Postgres => Self::Postgres,
            ServerName::Kafka => Self::Kafka,
            ServerName::Cassandra => Self::Cassandra,
            ServerName::Memcached => Self::Memcached,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_processes() {
        for name in ServerName::value_variants() {
            let text = name.to_possible_value().unwrap();
            assert_eq!(text.get_name(), Server::from(*name).name());
        }
        assert_eq!(chosen(&[]), Server::ALL);
        assert_eq!(chosen(ServerName::value_variants()), Server::ALL);
    }
}
