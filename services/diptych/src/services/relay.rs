//! `diptych relay`: publishes events from Postgres to Kafka.

use std::process::ExitCode;

use tokio::net::TcpListener;

use crate::{
    parts,
    process::{KafkaFlag, PostgresFlag, ProcessContext, Role, Running, ServiceFlags, after_help},
    servers,
};

/// Publish committed events from Postgres to Kafka, in order, at least once.
///
/// One relay leads at a time, by a lease in Postgres; others stand by, and one of them takes over soon after the lease
/// of a dead leader has expired (relay.lease_duration). Each needs an instance name of its own; a second process under
/// the name of the leader stands by, with a warning. Serves only health and metrics. Ready once Postgres
/// and Kafka are reachable and `diptych migrate` has run, whether it leads or not.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,

    #[command(flatten)]
    postgres: PostgresFlag,

    #[command(flatten)]
    kafka: KafkaFlag,
}

const EXAMPLES: &str = "\
Examples:
  diptych relay --config diptych.toml
  diptych relay --config diptych.toml --instance relay-2 --listen 127.0.0.1:7420 --metrics 127.0.0.1:7421
  diptych relay --postgres postgres://diptych@db/diptych --kafka kafka-1:9092,kafka-2:9092

Servers used: Postgres, Kafka. Sections used: relay, postgres, kafka, grpc, log, telemetry.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    args.flags.run(Role::Relay, [args.postgres.setting(), args.kafka.setting()], start)
}

async fn start(process: &ProcessContext, listener: TcpListener) -> anyhow::Result<Running> {
    let health = process.serve(listener, |server| server).await?;
    let events = servers::open_events(process).await;
    let log = servers::open_log(process, events.installation()).await;
    parts::start_relay(process, &events, &log);
    Ok(Running::ready(health).await)
}
