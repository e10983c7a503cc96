//! The parts, started from the write side to the read side: the only place where a port meets an adapter.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use diptych_embedded::{Embedded, EmbeddedViewCache, EmbeddedViewStore};
use diptych_kernel::{Clock, Partitions, domain::ViewId};
use diptych_ledger::{
    Ledger,
    grpc::{CommandFace, QueryFace},
    views,
};
use diptych_proto::ledger::{
    command::v1::command_service_server::CommandServiceServer,
    query::v1_encoded::query_service_server::QueryServiceServer,
};
use diptych_query::Reader;
use diptych_runtime::{
    grpc::{Health, Limits, Mounted, Server},
    telemetry::Metrics,
};
use tokio::time::timeout;

use super::{Ports, Stages, upkeep};
use crate::config::Config;

/// The name of this process's relay and projector: the same after a restart, so that neither waits for its own lease. The lock on the
/// folder makes it the only one.
const NAME: &str = "dev";
/// How long to wait until queries can be answered.
const READY_MAX: Duration = Duration::from_secs(10);

type EmbeddedReader = Reader<EmbeddedViewStore, EmbeddedViewStore, EmbeddedViewCache>;

/// Starts all parts, and returns when calls are answered.
pub(super) async fn start(
    config: &Config,
    stores: Embedded,
    ports: Ports,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    stages: &Stages,
) -> anyhow::Result<Health> {
    stages.watch.spawn_fallible("metrics", metrics.serve(ports.metrics.listener, stages.watch.shutdown()));
    let partitions = Partitions::new(config.partitions.u16())?;

    let commands = start_write_side(config, &stores, clock, stages);
    start_stream(config, &stores, stages);
    let reader = start_read_side(config, &stores, partitions, stages);

    let limits = Limits::from(&config.grpc);
    let (received, sent) = (limits.message_received_bytes_max, limits.message_sent_bytes_max);
    let commands = CommandFace::new(commands, stages.server.shutdown());
    let queries = QueryFace::new(reader.clone(), partitions);
    let server: Mounted = Server::new(limits)
        .mount(CommandServiceServer::new(commands).max_decoding_message_size(received).max_encoding_message_size(sent))
        .mount(QueryServiceServer::new(queries).max_decoding_message_size(received).max_encoding_message_size(sent))
        .finish()
        .await?;
    let health = server.health();
    // Half of the time for the calls that are open, so that the stages behind have the other half.
    let drain_max = config.shutdown_timeout.duration() / 2;
    let served = server.serve(ports.grpc.listener, stages.server.shutdown(), drain_max);
    stages.server.spawn_fallible("grpc", served);

    until_ready(&reader, stages).await?;
    health.ready().await;
    Ok(health)
}

fn start_write_side(
    config: &Config,
    stores: &Embedded,
    clock: Arc<dyn Clock>,
    stages: &Stages,
) -> diptych_command::CommandHandle<Ledger> {
    diptych_command::describe_metrics();
    let keep = config.command.request_ids_kept.duration();
    let forget = diptych_command::forget_old_requests(Arc::clone(&stores.events), clock, keep, stages.write.shutdown());
    stages.write.spawn("forget old requests", forget);
    diptych_command::start::<Ledger, _>(Arc::clone(&stores.events), (&config.command).into(), &stages.write)
}

fn start_stream(config: &Config, stores: &Embedded, stages: &Stages) {
    let (events, log) = (Arc::clone(&stores.events), Arc::clone(&stores.log));
    let relay = diptych_relay::run(events, log, config.relay.named(NAME), stages.relay.shutdown());
    stages.relay.spawn_fallible("relay", relay);
    stages.relay.spawn("trim the log", upkeep::trim_log(Arc::clone(&stores.log), stages.relay.shutdown()));

    let ports = diptych_projector::Ports {
        events: Arc::clone(&stores.events),
        log: Arc::clone(&stores.log),
        views: Arc::clone(&stores.views),
        progress: Arc::clone(&stores.views),
        cache: Arc::clone(&stores.cache),
    };
    let settings = config.projector.named(NAME);
    let projector = diptych_projector::run::<Ledger, _, _, _, _, _>(ports, settings, stages.project.shutdown());
    stages.project.spawn_fallible("projector", projector);
}

fn start_read_side(config: &Config, stores: &Embedded, partitions: Partitions, stages: &Stages) -> EmbeddedReader {
    let ids: Vec<ViewId> = views::all().iter().map(|view| view.id()).collect();
    Reader::start(
        Arc::clone(&stores.views),
        Arc::clone(&stores.views),
        Arc::clone(&stores.cache),
        ids,
        partitions,
        (&config.query).into(),
        &stages.read,
    )
}

/// Returns when queries can be answered.
async fn until_ready(reader: &EmbeddedReader, stages: &Stages) -> anyhow::Result<()> {
    tokio::select! {
        ready = timeout(READY_MAX, reader.ready()) => match ready {
            Ok(()) if reader.is_ready() => Ok(()),
            _ => bail!("queries cannot be answered, the log has the story"),
        },
        () = stages.any_stopped() => bail!("a part has failed, the log has the story"),
    }
}
