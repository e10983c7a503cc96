//! `diptych query`: answers from Memcached and ScyllaDB.

use std::process::ExitCode;

use tokio::net::TcpListener;

use crate::{
    parts,
    process::{self, Process, Role, Running, ServiceFlags, after_help},
    servers,
};

/// Answers queries over gRPC from Memcached and ScyllaDB, never older than the caller's token.
///
/// Ready when ScyllaDB was reached, has its tables (`diptych migrate` makes them), and progress was loaded. While ScyllaDB is away later,
/// rows that are cached are answered with how old they are, and others UNAVAILABLE. Several may run at the same time.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,
}

const EXAMPLES: &str = "\
Examples:
  diptych query --config diptych.toml
  diptych query --scylla db-1:9042,db-2:9042 --memcached cache-1:11211,cache-2:11211 --listen 0.0.0.0:7400
  DIPTYCH_QUERY__WAIT_DEFAULT=5s diptych query --config diptych.toml

Servers that it uses: ScyllaDB, Memcached. Settings: query, grpc, scylla, memcached.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    let dumps_config = args.flags.dumps_config();
    process::main(Role::Query, args.flags.into_sources([]), dumps_config, start)
}

async fn start(process: &Process, listener: TcpListener) -> anyhow::Result<Running> {
    let later = parts::queries_later();
    let health = process.serve(listener, |builder| builder.add_service(later.clone())).await?;
    let (views, cache) = tokio::join!(servers::views(process, None), servers::cache(process));
    let query = (&process.config.query).into();
    let (reader, queries) = parts::start_read_side(process, &views, &cache, views.partitions(), query);
    later.set(queries);
    reader.ready().await;
    Ok(Running::ready(health).await)
}
