//! The real servers: each opened by its adapter from the configuration, retried until it is available.

use std::{fmt, sync::Arc};

use anyhow::anyhow;
use diptych_kafka::{KafkaConfig, KafkaEventLog};
use diptych_kernel::{
    domain::view_set_name,
    ports::{EventStore, PortError, PortResult, Remedy, ViewStore},
    vocabulary::Installation,
};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use diptych_scylla::ScyllaViewStore;

use crate::{
    config::{Config, variable},
    parts::{self, Stores},
    process::{ProcessContext, open_with_retries},
};

/// All stores on real servers.
pub(crate) type ServerStores = Stores<PostgresEventStore, KafkaEventLog, ScyllaViewStore, MemcachedViewCache>;

/// A kind of server, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Postgres,
    Kafka,
    Scylla,
    Memcached,
}

impl Server {
    /// The configured address, without secrets.
    pub(crate) fn address(self, config: &Config) -> String {
        match self {
            Self::Postgres => config.postgres.url.hosts().to_owned(),
            Self::Kafka => config.kafka.bootstrap_servers.to_string(),
            Self::Scylla => config.scylla.contact_points.to_string(),
            Self::Memcached => config.memcached.servers.to_string(),
        }
    }

    /// The key of the setting for its address, and the flag for it.
    fn setting(self) -> (&'static str, &'static str) {
        match self {
            Self::Postgres => ("postgres.url", "--postgres"),
            Self::Kafka => ("kafka.bootstrap_servers", "--kafka"),
            Self::Scylla => ("scylla.contact_points", "--scylla"),
            Self::Memcached => ("memcached.servers", "--memcached"),
        }
    }

    /// The server and its address, for log lines.
    fn described(self, config: &Config) -> String {
        format!("{self} at {}", self.address(config))
    }

    /// An error of its adapter, for a subcommand that ends with it: names the address and, where a retry may help, what
    /// to do.
    pub(crate) fn failure(self, config: &Config, error: &PortError) -> anyhow::Error {
        let address = self.address(config);
        let (key, flag) = self.setting();
        match error.remedy() {
            Remedy::Operator => anyhow!("{self} at {address}: {error}"),
            Remedy::Retry => anyhow!(
                "cannot use {self} at {address}: {error}\nStart it, or set its address with {flag}, {} or {key} in the \
                 settings file",
                variable(key)
            ),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "the write database (Postgres)",
            Self::Kafka => "the event log (Kafka)",
            Self::Scylla => "the read database (ScyllaDB)",
            Self::Memcached => "the cache (Memcached)",
        })
    }
}

/// The adapter's configuration. The name tells this process's connections apart in the server's activity view.
pub(crate) fn postgres_config(config: &Config, name: &str) -> PostgresConfig {
    config.postgres.adapter(&format!("diptych {name}"), config.command.request_id_retention.duration())
}

/// Opens the write database.
pub(crate) async fn open_events(process: &ProcessContext) -> Arc<PostgresEventStore> {
    let adapter = postgres_config(&process.config, &process.instance);
    let what = Server::Postgres.described(&process.config);
    Arc::new(open_with_retries(&what, async || PostgresEventStore::open(adapter.clone()).await).await)
}

/// Opens the event log of an installation.
pub(crate) async fn open_log(process: &ProcessContext, installation: &Installation) -> Arc<KafkaEventLog> {
    let what = Server::Kafka.described(&process.config);
    let adapter = KafkaConfig { history: Some(installation.history.clone()), ..process.config.kafka.adapter() };
    let open = async || KafkaEventLog::open(adapter.clone()).await;
    Arc::new(open_with_retries(&what, open).await)
}

/// Opens the read database of the installation of a write database, with the tables of all views. Without a write
/// database, the installation is read from the read database.
pub(crate) async fn open_views(process: &ProcessContext, events: Option<&PostgresEventStore>) -> Arc<ScyllaViewStore> {
    let scylla = &process.config.scylla;
    let open = async || {
        let views = match events {
            Some(events) => ScyllaViewStore::open(scylla.adapter(), events.installation()).await?,
            None => ScyllaViewStore::open_with_stored_installation(scylla.adapter()).await?,
        };
        check_tables(&views).await?;
        if let Some(events) = events {
            check_not_ahead(&views, events).await?;
        }
        Ok(views)
    };
    Arc::new(open_with_retries(&Server::Scylla.described(&process.config), open).await)
}

/// Fails if a view has events that the write database lost, and suspends all commands: they would get positions that
/// the views have already.
async fn check_not_ahead(views: &ScyllaViewStore, events: &PostgresEventStore) -> PortResult<()> {
    // In this order: positions grow meanwhile.
    let newest = views.newest_position().await?;
    let next = events.next_position().await?;
    if newest < next {
        return Ok(());
    }
    let problem = format!(
        "the write database went back: the views have the events up to position {newest}, and the next event would \
         get position {next}. It was restored from a backup, or a standby without the newest commits took over. \
         Commands are refused until an operator acts: bring back a database that has the events; or stop all \
         processes, run `diptych rebase` to go on without what is lost, and start them again"
    );
    events.suspend_appends(&problem).await?;
    Err(PortError::operator(problem))
}

/// Opens the cache of an installation. Its servers need not be reachable: their rows are cache misses.
pub(crate) async fn open_cache(process: &ProcessContext, installation: &Installation) -> Arc<MemcachedViewCache> {
    let what = Server::Memcached.described(&process.config);
    let adapter = MemcachedConfig { history: Some(installation.history.id()), ..process.config.memcached.adapter() };
    let open = async || MemcachedViewCache::open(adapter.clone()).await;
    Arc::new(open_with_retries(&what, open).await)
}

/// Opens all of them, for a process that has all parts.
pub(crate) async fn open_all(process: &ProcessContext) -> ServerStores {
    let events = open_events(process).await;
    let installation = events.installation();
    let (log, views, cache) = tokio::join!(
        open_log(process, installation),
        open_views(process, Some(&events)),
        open_cache(process, installation)
    );
    let what = Server::Kafka.described(&process.config);
    open_with_retries(&what, async || diptych_relay::check_log_is_not_ahead(&*events, &*log).await).await;
    let (group, tokens) = (projector_group(&process.config.kafka.topic.to_string()), installation.tokens());
    Stores { events, log, views, cache, group, tokens }
}

/// Fails while the table of a view is missing: a view that is new in this version has none before `diptych migrate`.
async fn check_tables(views: &ScyllaViewStore) -> PortResult<()> {
    for view in parts::view_ids() {
        // A partition key without rows.
        views.scan(view, "-", None, 1).await?;
    }
    Ok(())
}

/// The consumer group of the projectors that write the views, on this topic.
pub(crate) fn projector_group(topic: &str) -> String {
    format!("{topic}.{}", projector_group_suffix())
}

/// The ending of the name of the consumer group, which changes with the set of views.
fn projector_group_suffix() -> String {
    format!("projector.{}", view_set_name(&parts::view_ids()))
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    /// With this variable the test writes the file of the chart instead of comparing it.
    const UPDATE: &str = "DIPTYCH_UPDATE_DOCS";

    #[test]
    fn a_failure_names_the_address_and_how_to_set_it() {
        let config = Config::default();
        let text = Server::Postgres.failure(&config, &PortError::not_done("connection refused")).to_string();
        assert!(text.starts_with("cannot use the write database (Postgres) at 127.0.0.1:5432: "), "{text}");
        assert!(text.contains("connection refused\nStart it, or set its address with --postgres, "), "{text}");
        assert!(text.ends_with(" DIPTYCH_POSTGRES__URL or postgres.url in the settings file"), "{text}");
        let text = Server::Scylla.failure(&config, &PortError::operator("run `diptych migrate`")).to_string();
        assert!(text.contains("127.0.0.1:9042") && !text.contains("Start it"), "{text}");
    }

    /// KEDA asks Kafka for the lag of the group.
    #[test]
    fn the_chart_has_a_current_name_of_the_consumer_group() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../helm/diptych/files/consumer-group.txt");
        let suffix = format!("{}\n", projector_group_suffix());
        if env::var_os(UPDATE).is_some_and(|value| !value.is_empty()) {
            fs::write(&path, &suffix).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == suffix,
            "helm/diptych/files/consumer-group.txt is not current. Update it with\n    \
             {UPDATE}=1 cargo test --workspace --bins consumer_group"
        );
    }
}
