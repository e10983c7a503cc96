//! `diptych projector`: applies events from Kafka to the views in ScyllaDB and Memcached.

use std::process::ExitCode;

use tokio::net::TcpListener;

use super::flags::AllServerFlags;
use crate::{
    parts,
    process::{ProcessContext, Role, Running, ServiceFlags, after_help},
    servers,
};

/// Apply events from Kafka to the rows of the views in ScyllaDB, and keep Memcached up to date.
///
/// Several share the partitions as members of one consumer group. Each needs an instance name of its own; with the same
/// name after a restart it gets its partitions back at once. Events that Kafka no longer has are read from Postgres.
/// Projectors of a version with other generations of views are another group, with all partitions. Serves only health
/// and metrics. Works once Postgres, Kafka and ScyllaDB are reachable and `diptych migrate` has run; Memcached need not
/// be reachable. Ready once its views follow Kafka, and no query service reads a table that it does not write.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,

    #[command(flatten)]
    servers: AllServerFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych projector --config diptych.toml
  diptych projector --config diptych.toml --instance projector-2 --listen 127.0.0.1:7430 --metrics 127.0.0.1:7431
  DIPTYCH_PROJECTOR__BATCH_RECORDS_MAX=2000 diptych projector --config diptych.toml

Servers used: Postgres, Kafka, ScyllaDB, Memcached.
Sections used: projector, postgres, kafka, scylla, memcached, grpc, log, telemetry.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    args.flags.run(Role::Projector, args.servers.settings(), start)
}

async fn start(process: &ProcessContext, listener: TcpListener) -> anyhow::Result<Running> {
    let health = process.serve(listener, |server| server).await?;
    let stores = servers::open_all(process).await;
    let state = parts::start_projector(process, &stores, parts::projector_config(process, &stores));
    health.started().await;
    diptych_projector::wait_until_ready(state, &*stores.views, &parts::view_ids()).await;
    Ok(Running::ready(health).await)
}
