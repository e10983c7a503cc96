//! A server on its own port. Events are projected only when a test calls `project`.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use diptych_command::SequencerConfig;
use diptych_embedded::{Embedded, EmbeddedViewCache, EmbeddedViewStore, Storage};
use diptych_kernel::{
    Partitions, Position, RecordedEvent,
    domain::{DecodedEvent, Domain, RowKey, View, ViewId},
    ports::{EventStore, Offset, Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewStore},
};
use diptych_ledger::{
    Ledger,
    domain::Event,
    grpc::{LedgerCommandService, LedgerQueryService},
};
use diptych_proto::ledger::{
    command::v1::{
        DepositRequest, OpenAccountRequest, command_service_client::CommandServiceClient,
        command_service_server::CommandServiceServer,
    },
    query::{v1::query_service_client::QueryServiceClient, v1_encoded::query_service_server::QueryServiceServer},
};
use diptych_proto::{
    diptych::v1::{Consistency, ConsistencyToken, Receipt},
    google::rpc,
};
use diptych_query::{QueryConfig, Reader};
use diptych_runtime::{Shutdown, SystemClock, Tasks};
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Status,
    transport::{Channel, Server},
};
use uuid::Uuid;

/// A ledger server with a client for each of its services.
pub(crate) struct GrpcHarness {
    pub(crate) commands: CommandServiceClient<Channel>,
    pub(crate) queries: QueryServiceClient<Channel>,
    pub(crate) channel: Channel,
    /// The query service without a transport, which has deadlines of its own.
    pub(crate) query_service: LedgerQueryService<EmbeddedViewStore, EmbeddedViewStore, EmbeddedViewCache>,
    pub(crate) embedded: Embedded,
    pub(crate) tasks: Tasks,
    partitions: Partitions,
    projected: Projected,
}

/// The state of the projection.
#[derive(Default)]
struct Projected {
    up_to: Position,
    rows: HashMap<(ViewId, RowKey), Bytes>,
}

impl GrpcHarness {
    pub(crate) async fn start() -> Self {
        Self::start_with(QueryConfig::default()).await
    }

    /// Starts a ledger with this configuration of queries.
    pub(crate) async fn start_with(query_config: QueryConfig) -> Self {
        let partitions = Partitions::new(4).unwrap();
        let embedded = Embedded::open(&Storage::Memory, partitions, Arc::new(SystemClock)).unwrap();
        let tasks = Tasks::new(Shutdown::new());
        let views: Vec<ViewId> = Ledger::views().iter().map(|view| view.id()).collect();
        embedded.views.ensure_views(&views).await.unwrap();

        let commands = diptych_command::start::<Ledger, _>(embedded.events.clone(), SequencerConfig::default(), &tasks);
        let reader: Reader<EmbeddedViewStore, EmbeddedViewStore, EmbeddedViewCache> = Reader::start(
            embedded.views.clone(),
            embedded.views.clone(),
            embedded.cache.clone(),
            views,
            partitions,
            query_config,
            &tasks,
        );
        reader.ready().await;
        let query_service = LedgerQueryService::new(reader.clone(), partitions, embedded.tokens.clone());

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder()
            .add_service(CommandServiceServer::new(LedgerCommandService::new(
                commands,
                embedded.tokens.clone(),
                tasks.shutdown(),
            )))
            .add_service(QueryServiceServer::new(LedgerQueryService::new(reader, partitions, embedded.tokens.clone())))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn_fallible("server", server);
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        Self {
            commands: CommandServiceClient::new(channel.clone()),
            queries: QueryServiceClient::new(channel.clone()),
            channel,
            query_service,
            embedded,
            tasks,
            partitions,
            projected: Projected::default(),
        }
    }

    /// Starts a ledger with these accounts of `olga`, in CZK and with an overdraft limit of 1,000.
    pub(crate) async fn with_accounts(ids: &[&str]) -> Self {
        let mut harness = Self::start().await;
        for id in ids {
            harness.commands.open_account(open(id)).await.unwrap();
        }
        harness
    }

    pub(crate) async fn deposit(&mut self, id: &str, amount_minor: i64) -> Receipt {
        self.commands.deposit(deposit(id, amount_minor)).await.unwrap().into_inner().receipt.unwrap()
    }

    pub(crate) async fn stored(&self) -> Vec<RecordedEvent> {
        self.embedded.events.read_after(Position::START, 100_000).await.unwrap().events
    }

    /// Projects all new events.
    pub(crate) async fn project(&mut self) {
        let tail = self.embedded.events.read_after(self.projected.up_to, 100_000).await.unwrap();
        let views = Ledger::views();
        let mut changed = HashMap::new();
        for record in &tail.events {
            let event = Ledger::decode_event(&record.event_type, &record.payload).unwrap();
            for view in &views {
                if let Some((row_key, body)) = self.projected.fold(view.as_ref(), record, &event) {
                    changed.insert(row_key, Row { position: record.position, body: Some(body) });
                }
            }
        }
        let rows: Vec<RowWrite> = changed.into_iter().map(|((view, key), row)| RowWrite { view, key, row }).collect();
        self.embedded.views.write(&rows).await.unwrap();
        self.projected.up_to = tail.complete_up_to;

        let progress =
            Progress { position: tail.complete_up_to, as_of: tail.read_at, next_offset: Offset(0), parked: Vec::new() };
        let updates: Vec<ProgressUpdate> = views
            .iter()
            .flat_map(|view| self.partitions.iter().map(move |partition| (view.id(), partition)))
            .map(|(view, partition)| ProgressUpdate { view, partition, progress: progress.clone() })
            .collect();
        self.embedded.views.save(&updates).await.unwrap();
    }
}

impl Projected {
    fn fold(
        &mut self,
        view: &dyn View<Event>,
        record: &RecordedEvent,
        event: &Event,
    ) -> Option<((ViewId, RowKey), Bytes)> {
        let recorded = DecodedEvent { record, event };
        let row_key = (view.id(), view.key(recorded)?);
        let body = view.fold(self.rows.get(&row_key).map(AsRef::as_ref), recorded).unwrap()?;
        self.rows.insert(row_key.clone(), body.clone());
        Some((row_key, body))
    }
}

pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

pub(crate) fn open(id: &str) -> OpenAccountRequest {
    OpenAccountRequest {
        request_id: new_id(),
        account_id: id.to_owned(),
        owner_id: "olga".to_owned(),
        currency_code: "CZK".to_owned(),
        overdraft_limit_minor: 1_000,
        options: None,
    }
}

pub(crate) fn deposit(id: &str, amount_minor: i64) -> DepositRequest {
    DepositRequest {
        request_id: new_id(),
        account_id: id.to_owned(),
        amount_minor,
        currency_code: "CZK".to_owned(),
        ..DepositRequest::default()
    }
}

/// Requires the freshness of a receipt.
pub(crate) fn fresh_as(receipt: &Receipt) -> Option<Consistency> {
    Some(Consistency { at_least_as_fresh: receipt.written_at.clone(), ..Consistency::default() })
}

pub(crate) fn fresh_as_text(value: &str) -> Option<Consistency> {
    Some(Consistency {
        at_least_as_fresh: Some(ConsistencyToken { value: value.to_owned() }),
        ..Consistency::default()
    })
}

/// The parts of an error that a client program can read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ErrorParts {
    pub(crate) code: Code,
    pub(crate) domain: String,
    pub(crate) reason: String,
    pub(crate) metadata: HashMap<String, String>,
    /// The fields in BadRequest.
    pub(crate) fields: Vec<String>,
    /// Type and name of the resource in ResourceInfo.
    pub(crate) resource: Option<(String, String)>,
    pub(crate) retry: bool,
}

pub(crate) fn error_parts(status: &Status) -> ErrorParts {
    error_parts_in(&rpc::Status::decode(status.details()).unwrap())
}

/// The same for the error of an item of a stream.
pub(crate) fn error_parts_in(status: &rpc::Status) -> ErrorParts {
    let info: rpc::ErrorInfo = detail(status, "google.rpc.ErrorInfo").expect("every error has ErrorInfo");
    let bad: Option<rpc::BadRequest> = detail(status, "google.rpc.BadRequest");
    let resource: Option<rpc::ResourceInfo> = detail(status, "google.rpc.ResourceInfo");
    let violations = bad.map(|bad| bad.field_violations).unwrap_or_default();
    ErrorParts {
        code: Code::from(status.code),
        domain: info.domain,
        reason: info.reason,
        metadata: info.metadata.into_iter().collect(),
        fields: violations.into_iter().map(|violation| violation.field).collect(),
        resource: resource.map(|resource| (resource.resource_type, resource.resource_name)),
        retry: detail::<rpc::RetryInfo>(status, "google.rpc.RetryInfo").is_some(),
    }
}

fn detail<M: Message + Default>(status: &rpc::Status, name: &str) -> Option<M> {
    let detail = status.details.iter().find(|detail| detail.type_url == format!("type.googleapis.com/{name}"))?;
    Some(M::decode(detail.value.as_slice()).unwrap())
}

/// The error of a refused call, without resource and retry delay.
pub(crate) fn refused(code: Code, domain: &str, reason: &str, metadata: &[(&str, &str)]) -> ErrorParts {
    ErrorParts {
        code,
        domain: domain.to_owned(),
        reason: reason.to_owned(),
        metadata: metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        fields: Vec::new(),
        resource: None,
        retry: false,
    }
}

/// The error of a call with one invalid field.
pub(crate) fn bad_field(reason: &str, field: &str) -> ErrorParts {
    bad_fields(reason, &[field])
}

/// The error of a call with these invalid fields, of which the first has this reason.
pub(crate) fn bad_fields(reason: &str, fields: &[&str]) -> ErrorParts {
    ErrorParts {
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        ..refused(Code::InvalidArgument, "diptych.v1", reason, &[("field", fields[0])])
    }
}
