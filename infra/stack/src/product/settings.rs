//! Settings of the product, as environment variables.

use std::collections::BTreeMap;

use super::config::ProductConfig;
use crate::{error::StackResult, servers::Server, stack::Stack};

/// Name of the database.
pub(super) const DATABASE: &str = "diptych";

/// Settings of all processes: those of the configuration, overridden by the addresses of the servers.
pub(super) fn for_services(stack: &Stack, config: &ProductConfig) -> StackResult<BTreeMap<String, String>> {
    let mut settings = BTreeMap::from([("DIPTYCH_LOG__FORMAT".to_owned(), "text".to_owned())]);
    if stack.standbys() > 0 {
        // No command is acknowledged that only one server has.
        settings.insert("DIPTYCH_POSTGRES__SYNCHRONOUS_STANDBY_REQUIRED".to_owned(), "true".to_owned());
    }
    settings.extend(config.settings.clone());
    settings.extend(server_settings(stack)?);
    settings.insert("DIPTYCH_PARTITIONS".to_owned(), config.partitions.to_string());
    Ok(settings)
}

/// Addresses of the servers, with a replication factor of 1.
pub(super) fn server_settings(stack: &Stack) -> StackResult<BTreeMap<String, String>> {
    let address = |server| stack.address(server);
    let settings = [
        ("DIPTYCH_POSTGRES__URL", format!("postgres://postgres@{}/{DATABASE}", stack.postgres_addresses()?)),
        ("DIPTYCH_KAFKA__BOOTSTRAP_SERVERS", address(Server::Kafka)?),
        ("DIPTYCH_KAFKA__REPLICATION_FACTOR", "1".to_owned()),
        ("DIPTYCH_KAFKA__MIN_INSYNC_REPLICAS", "1".to_owned()),
        ("DIPTYCH_SCYLLA__CONTACT_POINTS", address(Server::Cassandra)?),
        ("DIPTYCH_SCYLLA__REPLICATION_FACTOR", "1".to_owned()),
        ("DIPTYCH_MEMCACHED__SERVERS", address(Server::Memcached)?),
    ];
    Ok(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
