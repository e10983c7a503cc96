//! Servers: preparation (configuration, data folder) and process specification of each.

mod cassandra;
mod cluster;
mod file;
mod java;
mod kafka;
mod memcached;
mod postgres;
mod server;
mod setup;
mod user;
mod working_folder;

pub(crate) use cluster::{ETCD, MemberPorts, etcd, has_data, member, member_names, place_in_stage};
pub use server::Server;
pub(crate) use setup::ServerSetup;

use crate::{error::StackResult, process::ProcessSpec};

/// Writes the configuration of a server, and creates its data folder if missing.
pub(crate) async fn prepare(server: Server, setup: ServerSetup<'_>) -> StackResult<ProcessSpec> {
    let spec = match server {
        Server::Postgres => postgres::prepare(&setup).await,
        Server::Kafka => kafka::prepare(&setup).await,
        Server::Cassandra => cassandra::prepare(&setup),
        Server::Memcached => memcached::prepare(&setup),
    }?;
    Ok(spec.ports(setup.ports).stage(0))
}
