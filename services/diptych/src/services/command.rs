//! `diptych command`: takes commands, and commits their events to Postgres.

use std::process::ExitCode;

use tokio::net::TcpListener;

use crate::{
    parts,
    process::{PostgresFlag, ProcessContext, Role, Running, ServiceFlags, after_help},
    servers,
};

/// Take commands over gRPC, decide them, and commit their events to Postgres.
///
/// Ready once Postgres is reachable and has its tables (`diptych migrate` creates them). While Postgres is down,
/// commands are answered UNAVAILABLE. Several can run at the same time: when two change the same stream, one of them
/// decides again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,

    #[command(flatten)]
    postgres: PostgresFlag,
}

const EXAMPLES: &str = "\
Examples:
  diptych command --config diptych.toml
  diptych command --postgres postgres://diptych@db-1,db-2/diptych --listen 0.0.0.0:7400
  DIPTYCH_POSTGRES__URL=postgres://diptych:secret@db/diptych diptych command

Servers used: Postgres. Sections used: command, grpc, postgres, log, telemetry.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    args.flags.run(Role::Command, [args.postgres.setting()], start)
}

async fn start(process: &ProcessContext, listener: TcpListener) -> anyhow::Result<Running> {
    let commands = parts::deferred_commands();
    let health = process.serve(listener, |builder| builder.add_service(commands.clone())).await?;
    let events = servers::open_events(process).await;
    let tokens = events.installation().tokens();
    commands.set(parts::command_service(process, &events, parts::start_commands(process, &events), tokens));
    Ok(Running::ready(health).await)
}
