//! `diptych all`: all services in one process, on the real servers.

use std::process::ExitCode;

use diptych_kernel::ports::PortResult;
use tokio::net::TcpListener;

use crate::{
    config::{Config, Flag},
    migrate,
    parts::{Services, projector_config},
    process::{self, Process, Role, Running, ServiceFlags, after_help, banner, until_there},
    servers,
};

/// Runs all services in one process, on Postgres, Kafka, ScyllaDB and Memcached: a single node.
///
/// Makes and migrates what is missing first, as `diptych migrate` does, and waits for servers that are not there yet.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    /// How many partitions a new installation gets, 1 to 256. Fixed from then on. Default 16.
    #[arg(long, value_name = "COUNT")]
    partitions: Option<String>,

    #[command(flatten)]
    flags: ServiceFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych all --postgres postgres://postgres@127.0.0.1:5432/diptych
  diptych all --config diptych.toml --listen 0.0.0.0:7400
  DIPTYCH_KAFKA__REPLICATION_FACTOR=1 DIPTYCH_SCYLLA__REPLICATION_FACTOR=1 diptych all

Servers that it uses: all of them, by default on this machine at their usual ports.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dumps_config = args.flags.dumps_config();
    let partitions = Flag::given("partitions", "--partitions", args.partitions);
    process::main(Role::All, args.flags.into_sources([partitions]), dumps_config, start)
}

async fn start(process: &Process, listener: TcpListener) -> anyhow::Result<Running> {
    let services = Services::new();
    let health = process.serve(listener, |builder| services.add_to(builder).with_json()).await?;
    migrate_all(&process.config).await;
    let stores = servers::all(process).await;
    let projector = projector_config(process, &stores);
    let reader = services.start(process, &stores, (projector, (&process.config.query).into()));
    reader.ready().await;
    let running = Running::ready(health).await;
    banner::print(&banner::text(process, &places(&process.config)));
    Ok(running)
}

async fn migrate_all(config: &Config) {
    for step in migrate::Step::ALL {
        let what = step.to_string();
        let done: String = until_there(&what, async || -> PortResult<String> { step.run(config).await }).await;
        tracing::info!(what, done);
    }
}

/// What data is kept where, for the banner.
fn places(config: &Config) -> [(&'static str, String); 4] {
    [
        ("Postgres", config.postgres.url.to_string()),
        ("Kafka", format!("{}, topic {}", config.kafka.bootstrap_servers, config.kafka.topic)),
        ("ScyllaDB", format!("{}, keyspace {}", config.scylla.contact_points, config.scylla.keyspace)),
        ("Memcached", config.memcached.servers.to_string()),
    ]
}
