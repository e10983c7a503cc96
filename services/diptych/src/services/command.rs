//! `diptych command`: takes commands, and commits them to Postgres.

use std::process::ExitCode;

use tokio::net::TcpListener;

use crate::{
    parts,
    process::{self, Process, Role, Running, ServiceFlags, after_help},
    servers,
};

/// Takes commands over gRPC, decides them, and commits their events to Postgres.
///
/// Ready when Postgres was reached and has its tables (`diptych migrate` makes them). While Postgres is away later, commands are
/// answered UNAVAILABLE. Several may run at the same time: whoever loses a race decides again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych command --config diptych.toml
  diptych command --postgres postgres://diptych@db-1,db-2/diptych --listen 0.0.0.0:7400
  DIPTYCH_POSTGRES__URL=postgres://diptych:secret@db/diptych diptych command

Servers that it uses: Postgres. Settings: command, grpc, postgres.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dumps_config = args.flags.dumps_config();
    process::main(Role::Command, args.flags.into_sources([]), dumps_config, start)
}

async fn start(process: &Process, listener: TcpListener) -> anyhow::Result<Running> {
    let commands = parts::commands_later();
    let health = process.serve(listener, |builder| builder.add_service(commands.clone())).await?;
    let events = servers::events(process).await;
    commands.set(parts::start_write_side(process, &events));
    Ok(Running::ready(health).await)
}
