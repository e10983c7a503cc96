//! The parts, from the write side to the read side, started on ports: whatever stands behind them.
//!
//! `dev` and `all` start all of them in one process; each of the four services starts its own.

use std::sync::Arc;

use diptych_command::CommandHandle;
use diptych_kernel::{
    Partitions,
    domain::ViewId,
    ports::{EventLog, EventStore, ProgressStore, RelayState, ViewCache, ViewStore},
};
use diptych_ledger::{
    Ledger,
    grpc::{LedgerCommandService, LedgerQueryService},
    views,
};
use diptych_projector::ProjectorConfig;
use diptych_proto::ledger::{
    command::v1::command_service_server::CommandServiceServer,
    query::v1_encoded::query_service_server::QueryServiceServer,
};
use diptych_query::{QueryConfig, Reader};
use diptych_runtime::{
    Failure,
    grpc::{Limits, ServerBuilder},
};

use crate::process::{Later, Process};

/// The command service.
pub(crate) type Commands = CommandServiceServer<LedgerCommandService>;
/// The query service.
pub(crate) type Queries<V, C> = QueryServiceServer<LedgerQueryService<V, V, C>>;

/// The systems that data goes through.
pub(crate) struct Stores<S, L, V, C> {
    /// The write database.
    pub(crate) events: Arc<S>,
    /// The event log.
    pub(crate) log: Arc<L>,
    /// The read database: rows and progress.
    pub(crate) views: Arc<V>,
    /// The cache in front of it.
    pub(crate) cache: Arc<C>,
    /// The consumer group of the projectors that fill these views: on a log that several installations share, none but theirs.
    pub(crate) group: String,
}

/// Both services of a process that has all parts.
pub(crate) struct Services<V, C> {
    commands: Later<Commands>,
    queries: Later<Queries<V, C>>,
}

impl<V: ViewStore + ProgressStore, C: ViewCache> Services<V, C> {
    /// Two services that say that they are not there yet.
    pub(crate) fn new() -> Self {
        Self { commands: commands_later(), queries: queries_later() }
    }

    /// Adds both to a server.
    pub(crate) fn add_to(&self, builder: ServerBuilder) -> ServerBuilder {
        builder.add_service(self.commands.clone()).add_service(self.queries.clone())
    }

    /// Starts all parts. Queries can be answered once the reader is ready.
    pub(crate) fn start<S: EventStore + RelayState, L: EventLog>(
        &self,
        process: &Process,
        stores: &Stores<S, L, V, C>,
        (projector, query): (ProjectorConfig, QueryConfig),
    ) -> Reader<V, V, C> {
        self.commands.set(start_write_side(process, &stores.events));
        start_relay(process, &stores.events, &stores.log);
        start_projector(process, stores, projector);
        let partitions = stores.events.partitions();
        let (reader, queries) = start_read_side(process, &stores.views, &stores.cache, partitions, query);
        self.queries.set(queries);
        reader
    }
}

/// The command service before the write database is there.
pub(crate) fn commands_later() -> Later<Commands> {
    Later::new(Failure::WriteUnavailable)
}

/// The query service before the read database is there.
pub(crate) fn queries_later<V, C>() -> Later<Queries<V, C>> {
    Later::new(Failure::ReadUnavailable)
}

/// Starts what decides and commits commands; returns its service.
pub(crate) fn start_write_side<S: EventStore>(process: &Process, events: &Arc<S>) -> Commands {
    let Process { config, stages, clock, .. } = process;
    diptych_command::describe_metrics();
    let keep = config.command.request_ids_kept.duration();
    let shutdown = stages.write.shutdown();
    let forget = diptych_command::forget_old_requests(Arc::clone(events), Arc::clone(clock), keep, shutdown);
    stages.write.tasks().spawn("forget old requests", forget);
    let commands: CommandHandle<Ledger> =
        diptych_command::start(Arc::clone(events), (&config.command).into(), stages.write.tasks());
    let limits = Limits::from(&config.grpc);
    CommandServiceServer::new(LedgerCommandService::new(commands, stages.server.shutdown()))
        .max_decoding_message_size(limits.message_received_bytes_max)
        .max_encoding_message_size(limits.message_sent_bytes_max)
}

/// Starts what brings events onto the log.
pub(crate) fn start_relay<S: EventStore + RelayState, L: EventLog>(process: &Process, events: &Arc<S>, log: &Arc<L>) {
    let Process { config, stages, instance, .. } = process;
    let settings = config.relay.named(instance);
    let relay = diptych_relay::run(Arc::clone(events), Arc::clone(log), settings, stages.relay.shutdown());
    stages.relay.tasks().spawn_fallible("relay", relay);
}

/// The settings of this process's projector.
pub(crate) fn projector_config<S, L, V, C>(process: &Process, stores: &Stores<S, L, V, C>) -> ProjectorConfig {
    process.config.projector.named(&stores.group, &process.instance)
}

/// Starts what folds events into rows.
pub(crate) fn start_projector<S, L, V, C>(process: &Process, stores: &Stores<S, L, V, C>, config: ProjectorConfig)
where
    S: EventStore,
    L: EventLog,
    V: ViewStore + ProgressStore,
    C: ViewCache,
{
    let stages = &process.stages;
    let ports = diptych_projector::Ports {
        events: Arc::clone(&stores.events),
        log: Arc::clone(&stores.log),
        views: Arc::clone(&stores.views),
        progress: Arc::clone(&stores.views),
        cache: Arc::clone(&stores.cache),
    };
    let projector = diptych_projector::run::<Ledger, _, _, _, _, _>(ports, config, stages.project.shutdown());
    stages.project.tasks().spawn_fallible("projector", projector);
}

/// Starts what reads rows; returns it and its service.
pub(crate) fn start_read_side<V: ViewStore + ProgressStore, C: ViewCache>(
    process: &Process,
    views: &Arc<V>,
    cache: &Arc<C>,
    partitions: Partitions,
    query: QueryConfig,
) -> (Reader<V, V, C>, Queries<V, C>) {
    let Process { config, stages, .. } = process;
    let (rows, progress, cache) = (Arc::clone(views), Arc::clone(views), Arc::clone(cache));
    let reader = Reader::start(rows, progress, cache, view_ids(), partitions, query, stages.read.tasks());
    let limits = Limits::from(&config.grpc);
    let queries = QueryServiceServer::new(LedgerQueryService::new(reader.clone(), partitions))
        .max_decoding_message_size(limits.message_received_bytes_max)
        .max_encoding_message_size(limits.message_sent_bytes_max);
    (reader, queries)
}

/// The views of the ledger.
pub(crate) fn view_ids() -> Vec<ViewId> {
    views::all().iter().map(|view| view.id()).collect()
}
