//! `diptych relay`: from Postgres to Kafka.

use std::process::ExitCode;

use tokio::net::TcpListener;

use crate::{
    parts,
    process::{self, Process, Role, Running, ServiceFlags, after_help},
    servers,
};

/// Brings committed events from Postgres onto Kafka, in order, at least once.
///
/// One relay leads at a time, by a lease in Postgres; others stand by, and one of them takes over within the lease (relay.lease_duration). Each
/// needs a name of its own. Serves health and metrics only. Ready when Postgres and Kafka were reached and `diptych migrate` was
/// run, whether it leads or not.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych relay --config diptych.toml
  diptych relay --config diptych.toml --instance relay-2 --listen 127.0.0.1:7420 --metrics 127.0.0.1:7421
  diptych relay --postgres postgres://diptych@db/diptych --kafka kafka-1:9092,kafka-2:9092

Servers that it uses: Postgres, Kafka. Settings: relay, postgres, kafka.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dumps_config = args.flags.dumps_config();
    process::main(Role::Relay, args.flags.into_sources([]), dumps_config, start)
}

async fn start(process: &Process, listener: TcpListener) -> anyhow::Result<Running> {
    let health = process.serve(listener, |server| server).await?;
    let (events, log) = tokio::join!(servers::events(process), servers::log(process));
    parts::start_relay(process, &events, &log);
    Ok(Running::ready(health).await)
}
