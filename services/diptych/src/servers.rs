//! The real servers: each opened by its adapter, from the configuration, and waited for until it is there.

use std::sync::Arc;

use diptych_kafka::KafkaEventLog;
use diptych_kernel::{
    Partitions,
    ports::{EventStore, PortResult, ViewStore},
};
use diptych_memcached::MemcachedViewCache;
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use diptych_scylla::ScyllaViewStore;

use crate::{
    config::Config,
    parts::{self, Stores},
    process::{Process, until_there},
};

/// All stores on the real servers.
pub(crate) type ServerStores = Stores<PostgresEventStore, KafkaEventLog, ScyllaViewStore, MemcachedViewCache>;

/// What tells this program's connections apart from others in the server's activity view.
pub(crate) fn postgres_config(config: &Config, name: &str) -> PostgresConfig {
    config.postgres.adapter(&format!("diptych {name}"), config.command.request_ids_kept.duration())
}

/// The write database.
pub(crate) async fn events(process: &Process) -> Arc<PostgresEventStore> {
    let config = postgres_config(&process.config, &process.instance);
    Arc::new(
        until_there("the write database (Postgres)", async || PostgresEventStore::open(config.clone()).await).await,
    )
}

/// The event log.
pub(crate) async fn log(process: &Process) -> Arc<KafkaEventLog> {
    let kafka = &process.config.kafka;
    Arc::new(until_there("the event log (Kafka)", async || KafkaEventLog::open(kafka.into()).await).await)
}

/// The read database of an installation with so many partitions, with the tables of all views. Of one whose write database is none of this
/// process's, it says itself how many.
pub(crate) async fn views(process: &Process, partitions: Option<Partitions>) -> Arc<ScyllaViewStore> {
    let scylla = &process.config.scylla;
    let open = async || {
        let views = match partitions {
            Some(partitions) => ScyllaViewStore::open(scylla.into(), partitions).await?,
            None => ScyllaViewStore::open_with_stored_partitions(scylla.into()).await?,
        };
        has_tables(&views).await?;
        Ok(views)
    };
    Arc::new(until_there("the read database (ScyllaDB)", open).await)
}

/// The cache. A server that cannot be reached is none to wait for: its rows are misses.
pub(crate) async fn cache(process: &Process) -> Arc<MemcachedViewCache> {
    let memcached = &process.config.memcached;
    Arc::new(until_there("the cache (Memcached)", async || MemcachedViewCache::open(memcached.into()).await).await)
}

/// All of them, for a process that has all parts.
pub(crate) async fn all(process: &Process) -> ServerStores {
    let (events, log) = tokio::join!(events(process), log(process));
    let (views, cache) = tokio::join!(views(process, Some(events.partitions())), cache(process));
    Stores { events, log, views, cache, group: format!("{}.projector", process.config.kafka.topic) }
}

/// Fails while a table of a view is missing: one that this version is the first to have, before it was migrated to.
async fn has_tables(views: &ScyllaViewStore) -> PortResult<()> {
    for view in parts::view_ids() {
        // A group that no row is in.
        views.scan(view, "-", None, 1).await?;
    }
    Ok(())
}
