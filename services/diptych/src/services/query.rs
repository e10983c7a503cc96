//! `diptych query`: answers queries from Memcached and ScyllaDB.

use std::{process::ExitCode, sync::Arc, time::Duration};

use diptych_kernel::ports::{PortResult, Remedy};
use diptych_runtime::{Shutdown, pause};
use diptych_scylla::ScyllaViewStore;
use tokio::net::TcpListener;

use crate::{
    parts,
    process::{MemcachedFlag, ProcessContext, Role, Running, ScyllaFlag, ServiceFlags, after_help},
    servers,
};

/// Time between two looks at the history that the rows follow.
const HISTORY_INTERVAL: Duration = Duration::from_secs(5);

/// Answer queries over gRPC from Memcached and ScyllaDB, never older than the caller's consistency token.
///
/// Ready once ScyllaDB is reachable, has its tables (`diptych migrate` creates them), and the tables are filled as far
/// as any table was at the start. While ScyllaDB is down, cached rows are answered with their age, and others
/// UNAVAILABLE. Several can run at the same time, also of versions with different generations of views.
#[derive(Debug, clap::Args)]
#[command(after_long_help = after_help(EXAMPLES))]
pub(crate) struct Args {
    #[command(flatten)]
    flags: ServiceFlags,

    #[command(flatten)]
    scylla: ScyllaFlag,

    #[command(flatten)]
    memcached: MemcachedFlag,
}

const EXAMPLES: &str = "\
Examples:
  diptych query --config diptych.toml
  diptych query --scylla db-1:9042,db-2:9042 --memcached cache-1:11211,cache-2:11211 --listen 0.0.0.0:7400
  DIPTYCH_QUERY__CALL_TIMEOUT_DEFAULT=5s diptych query --config diptych.toml

Servers used: ScyllaDB, Memcached. Sections used: query, grpc, scylla, memcached, log, telemetry.";

pub(crate) fn main(args: Args) -> anyhow::Result<ExitCode> {
    args.flags.run(Role::Query, [args.scylla.setting(), args.memcached.setting()], start)
}

async fn start(process: &ProcessContext, listener: TcpListener) -> anyhow::Result<Running> {
    let deferred = parts::deferred_queries();
    let health = process.serve(listener, |builder| builder.add_service(deferred.clone())).await?;
    let views = servers::open_views(process, None).await;
    let installation = views.installation();
    let cache = servers::open_cache(process, installation).await;
    let of_installation = (installation.partitions, installation.tokens());
    let query = process.config.query.part();
    let read_side = parts::start_queries(process, (&views, &cache), of_installation, query, deferred);
    health.started().await;
    let watched = watch_history(views, process.phases.query.shutdown());
    process.phases.query.tasks().spawn_fallible("watch the history", watched);
    read_side.ready().await;
    Ok(Running::ready(health).await)
}

/// Ends the process with an error once the rows follow another history: its tokens, keys of the cache and known
/// progress are those of the history before.
async fn watch_history(views: Arc<ScyllaViewStore>, shutdown: Shutdown) -> PortResult<()> {
    loop {
        tokio::select! {
            () = shutdown.begun() => return Ok(()),
            () = pause(HISTORY_INTERVAL) => {}
        }
        match views.check_history().await {
            Err(error) if error.remedy() == Remedy::Operator => return Err(error),
            // While the read database does not answer, nothing changes there.
            Ok(()) | Err(_) => {}
        }
    }
}
