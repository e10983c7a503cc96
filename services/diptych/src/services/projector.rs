//! `diptych projector`: from Kafka to ScyllaDB and Memcached.

use std::process::ExitCode;

use tokio::net::TcpListener;

use crate::{
    parts,
    process::{self, Process, Role, Running, ServiceFlags, after_help},
    servers,
};

/// Folds events from Kafka into rows of the views in ScyllaDB, and keeps Memcached up to date.
///
/// Several share the partitions as members of one consumer group. Each needs a name of its own; with the same name after a restart it gets
/// its partitions back at once. What Kafka no longer has is read from Postgres. Serves health and metrics only. Ready when all of
/// them were reached and `diptych migrate` was run; Memcached is never waited for.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych projector --config diptych.toml
  diptych projector --config diptych.toml --instance projector-2 --listen 127.0.0.1:7430 --metrics 127.0.0.1:7431
  DIPTYCH_PROJECTOR__BATCH_RECORDS_MAX=2000 diptych projector --config diptych.toml

Servers that it uses: Postgres, Kafka, ScyllaDB, Memcached. Settings: projector, postgres, kafka, scylla, memcached.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dumps_config = args.flags.dumps_config();
    process::main(Role::Projector, args.flags.into_sources([]), dumps_config, start)
}

async fn start(process: &Process, listener: TcpListener) -> anyhow::Result<Running> {
    let health = process.serve(listener, |server| server).await?;
    let stores = servers::all(process).await;
    parts::start_projector(process, &stores, parts::projector_config(process, &stores));
    Ok(Running::ready(health).await)
}
