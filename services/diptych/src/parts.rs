//! The parts of the product, from the write side to the read side, started on any implementation of the ports.
//!
//! `dev` and `all` start all parts in one process; each of the four services starts its own.

use std::sync::Arc;

use diptych_command::CommandHandle;
use diptych_kernel::{
    Partitions,
    domain::ViewId,
    ports::{CommandQueue, CommandQueueState, EventLog, EventStore, ProgressStore, RelayState, ViewCache, ViewStore},
    vocabulary::TokenIssuer,
};
use diptych_ledger::{
    Ledger,
    grpc::{LedgerCommandService, LedgerQueryService},
    views,
};
use diptych_projector::{ProjectorConfig, ProjectorState};
use diptych_proto::ledger::{
    command::v1::command_service_server::CommandServiceServer,
    query::v1_encoded::query_service_server::QueryServiceServer,
};
use diptych_query::{QueryConfig, Reader, register_reader, wait_until_filled};
use diptych_runtime::{Failure, grpc::ServerBuilder};
use tokio::sync::watch;

use crate::process::{DeferredService, ProcessContext};

/// The command service.
pub(crate) type Commands = CommandServiceServer<LedgerCommandService>;
/// The query service.
pub(crate) type Queries<V, C> = QueryServiceServer<LedgerQueryService<V, V, C>>;

/// The systems that data flows through.
pub(crate) struct Stores<S, L, V, C> {
    /// The write database.
    pub(crate) events: Arc<S>,
    /// The event log.
    pub(crate) log: Arc<L>,
    /// The read database: rows and progress.
    pub(crate) views: Arc<V>,
    /// The cache in front of it.
    pub(crate) cache: Arc<C>,
    /// The consumer group of the projectors of these views; unique on a Kafka cluster that several installations share.
    pub(crate) group: String,
    /// The consistency tokens of the installation.
    pub(crate) tokens: TokenIssuer,
}

/// The gRPC services of a process that has all parts.
pub(crate) struct Services<V, C> {
    commands: DeferredService<Commands>,
    queries: DeferredService<Queries<V, C>>,
}

impl<V: ViewStore + ProgressStore, C: ViewCache> Services<V, C> {
    /// Services that fail every call until [`Services::start`].
    pub(crate) fn new() -> Self {
        Self { commands: deferred_commands(), queries: deferred_queries() }
    }

    /// Mounts both on a server.
    pub(crate) fn add_to(&self, builder: ServerBuilder) -> ServerBuilder {
        builder.add_service(self.commands.clone()).add_service(self.queries.clone())
    }

    /// Starts all parts. Queries are answered once [`ReadSide::ready`] was called.
    pub(crate) fn start<S: EventStore + RelayState, L: EventLog>(
        &self,
        process: &ProcessContext,
        stores: &Stores<S, L, V, C>,
        commands: CommandHandle<Ledger>,
        (projector, query): (ProjectorConfig, QueryConfig),
    ) -> ReadSide<V, C> {
        self.commands.set(command_service(process, &stores.events, commands, stores.tokens.clone()));
        start_relay(process, &stores.events, &stores.log);
        start_projector(process, stores, projector);
        let partitions = stores.events.partitions();
        let tokens = stores.tokens.clone();
        start_queries(process, (&stores.views, &stores.cache), (partitions, tokens), query, self.queries.clone())
    }
}

/// The command service before the write database is open.
pub(crate) fn deferred_commands() -> DeferredService<Commands> {
    DeferredService::new(Failure::WriteUnavailable)
}

/// The query service before the read database is open.
pub(crate) fn deferred_queries<V, C>() -> DeferredService<Queries<V, C>> {
    DeferredService::new(Failure::ReadUnavailable)
}

/// Starts deciding and committing commands. Those that may be queued are not.
#[cfg(feature = "servers")]
pub(crate) fn start_commands<S: EventStore>(process: &ProcessContext, events: &Arc<S>) -> CommandHandle<Ledger> {
    diptych_command::describe_metrics();
    diptych_command::start(Arc::clone(events), process.config.command.part(), process.phases.command.tasks())
}

/// Starts deciding and committing commands, with a queue for those that may be queued.
pub(crate) fn start_commands_with_queue<S: EventStore + CommandQueueState, Q: CommandQueue>(
    process: &ProcessContext,
    events: &Arc<S>,
    queue: &Arc<Q>,
) -> CommandHandle<Ledger> {
    let ProcessContext { config, phases, clock, instance, .. } = process;
    diptych_command::describe_metrics();
    diptych_command::start_with_queue(
        (Arc::clone(events), Arc::clone(queue)),
        (config.command.part(), config.command_queue.named(instance)),
        Arc::clone(clock),
        phases.command.tasks(),
    )
}

/// The command service on started commands.
pub(crate) fn command_service<S: EventStore>(
    process: &ProcessContext,
    events: &Arc<S>,
    commands: CommandHandle<Ledger>,
    tokens: TokenIssuer,
) -> Commands {
    let ProcessContext { config, phases, clock, .. } = process;
    let retention = config.command.request_id_retention.duration();
    let shutdown = phases.command.shutdown();
    let forget = diptych_command::forget_old_requests(Arc::clone(events), Arc::clone(clock), retention, shutdown);
    phases.command.tasks().spawn("forget old requests", forget);
    let limits = config.grpc.part();
    CommandServiceServer::new(LedgerCommandService::new(commands, tokens, phases.grpc.shutdown()))
        .max_decoding_message_size(limits.message_received_bytes_max)
        .max_encoding_message_size(limits.message_sent_bytes_max)
}

/// Starts publishing events to the log.
pub(crate) fn start_relay<S: EventStore + RelayState, L: EventLog>(
    process: &ProcessContext,
    events: &Arc<S>,
    log: &Arc<L>,
) {
    let ProcessContext { config, phases, instance, .. } = process;
    let settings = config.relay.named(instance);
    let relay = diptych_relay::run(Arc::clone(events), Arc::clone(log), settings, phases.relay.shutdown());
    phases.relay.tasks().spawn_fallible("relay", relay);
}

/// The configuration of this process's projector.
pub(crate) fn projector_config<S, L, V, C>(process: &ProcessContext, stores: &Stores<S, L, V, C>) -> ProjectorConfig {
    process.config.projector.named(&stores.group, &process.instance)
}

/// Starts applying events to the rows of the views. Returns the state of the projector.
pub(crate) fn start_projector<S, L, V, C>(
    process: &ProcessContext,
    stores: &Stores<S, L, V, C>,
    config: ProjectorConfig,
) -> watch::Receiver<ProjectorState>
where
    S: EventStore,
    L: EventLog,
    V: ViewStore + ProgressStore,
    C: ViewCache,
{
    let phases = &process.phases;
    let ports = diptych_projector::Ports {
        events: Arc::clone(&stores.events),
        log: Arc::clone(&stores.log),
        views: Arc::clone(&stores.views),
        progress: Arc::clone(&stores.views),
        cache: Arc::clone(&stores.cache),
    };
    tracing::info!(group = config.group, views = table_names(), "writing the tables of the views");
    let (state, states) = watch::channel(ProjectorState::default());
    let projector = diptych_projector::run::<Ledger, _, _, _, _, _>(ports, config, state, phases.projector.shutdown());
    phases.projector.tasks().spawn_fallible("projector", projector);
    states
}

/// The read side of a process: the query service before it answers.
pub(crate) struct ReadSide<V, C> {
    views: Arc<V>,
    reader: Reader<V, V, C>,
    is_registered: watch::Receiver<bool>,
    queries: Queries<V, C>,
    deferred: DeferredService<Queries<V, C>>,
}

impl<V: ViewStore + ProgressStore, C: ViewCache> ReadSide<V, C> {
    /// Waits until progress was loaded and this process is registered as a reader of its tables. Returns at once when
    /// the process stops.
    pub(crate) async fn loaded(&mut self) {
        self.reader.ready().await;
        // An error means that the process stops.
        let _ = self.is_registered.wait_for(|is_registered| *is_registered).await;
    }

    /// Returns whether progress was loaded.
    pub(crate) fn is_loaded(&self) -> bool {
        self.reader.is_ready()
    }

    /// Waits until the tables are filled, and answers queries from then on.
    pub(crate) async fn ready(mut self) {
        self.loaded().await;
        wait_until_filled(&*self.views, &view_ids()).await;
        self.deferred.set(self.queries);
    }
}

/// Starts the reader of rows, and registers this process as a reader of their tables. The query service takes the place
/// of the deferred one once it is ready.
pub(crate) fn start_queries<V: ViewStore + ProgressStore, C: ViewCache>(
    process: &ProcessContext,
    (views, cache): (&Arc<V>, &Arc<C>),
    (partitions, tokens): (Partitions, TokenIssuer),
    query: QueryConfig,
    deferred: DeferredService<Queries<V, C>>,
) -> ReadSide<V, C> {
    let ProcessContext { config, phases, instance, .. } = process;
    let (is_registered, registered) = watch::channel(false);
    let registration =
        register_reader(Arc::clone(views), instance.clone(), view_ids(), is_registered, phases.query.shutdown());
    phases.query.tasks().spawn("registration as a reader", registration);
    let (rows, progress, cache) = (Arc::clone(views), Arc::clone(views), Arc::clone(cache));
    let reader = Reader::start(rows, progress, cache, view_ids(), partitions, query, phases.query.tasks());
    let limits = config.grpc.part();
    let queries = QueryServiceServer::new(LedgerQueryService::new(reader.clone(), partitions, tokens))
        .max_decoding_message_size(limits.message_received_bytes_max)
        .max_encoding_message_size(limits.message_sent_bytes_max);
    ReadSide { views: Arc::clone(views), reader, is_registered: registered, queries, deferred }
}

/// The views of the ledger.
pub(crate) fn view_ids() -> Vec<ViewId> {
    views::all().iter().map(|view| view.id()).collect()
}

/// The tables of the views, with commas.
fn table_names() -> String {
    view_ids().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
