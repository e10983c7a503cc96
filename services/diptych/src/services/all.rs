//! `diptych all`: all services in one process, on real servers.

use std::process::ExitCode;

use tokio::net::TcpListener;

use super::flags::AllServerFlags;
use crate::{
    config::{Config, Flag},
    migrate,
    parts::{self, Services, projector_config},
    process::{ProcessContext, Role, Running, ServiceFlags, after_help, open_with_retries},
    servers,
};

/// Run all services in one process, on Postgres, Kafka, ScyllaDB and Memcached.
///
/// First creates and migrates what is missing, as `diptych migrate` does. Waits for servers that are not reachable yet.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    /// Partitions of a new installation, 1 to 256; fixed once it exists. Default: 16.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<String>,

    #[command(flatten)]
    flags: ServiceFlags,

    #[command(flatten)]
    servers: AllServerFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych all --postgres postgres://postgres@127.0.0.1:5432/diptych
  diptych all --config diptych.toml --listen 0.0.0.0:7400
  DIPTYCH_KAFKA__REPLICATION_FACTOR=1 DIPTYCH_SCYLLA__REPLICATION_FACTOR=1 diptych all

Servers used: all of them, by default on this machine at their usual ports. Sections used: all but cache.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let partitions = Flag::new("partitions", "--partitions", args.partitions);
    args.flags.run(Role::All, args.servers.settings().into_iter().chain([partitions]), start)
}

async fn start(process: &ProcessContext, listener: TcpListener) -> anyhow::Result<Running> {
    let services = Services::new();
    let health = process.serve(listener, |builder| services.add_to(builder).with_json()).await?;
    migrate_all(&process.config).await;
    let stores = servers::open_all(process).await;
    let projector = projector_config(process, &stores);
    let commands = parts::start_commands(process, &stores.events);
    let read_side = services.start(process, &stores, commands, (projector, process.config.query.part()));
    health.started().await;
    read_side.ready().await;
    Ok(Running::ready(health).await.with_banner(process, &data_facts(&process.config)))
}

async fn migrate_all(config: &Config) {
    for step in migrate::MigrationStep::ALL {
        let what = format!("{step} at {}", step.server().address(config));
        let result: String = open_with_retries(&what, async || step.run(config).await).await;
        tracing::info!(what, result, "migrated");
    }
}

/// Returns the locations of the data, for the banner.
fn data_facts(config: &Config) -> [(&'static str, String); 5] {
    [
        ("Postgres", config.postgres.url.to_string()),
        ("Kafka", format!("{}, topic {}", config.kafka.bootstrap_servers, config.kafka.topic)),
        ("ScyllaDB", format!("{}, keyspace {}", config.scylla.contact_points, config.scylla.keyspace)),
        ("Memcached", config.memcached.servers.to_string()),
        ("Partitions", config.partitions.u16().to_string()),
    ]
}
