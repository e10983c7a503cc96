//! An installation of the whole pipeline on the embedded adapters.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{sync::Arc, time::Duration};

use diptych_command::SequencerConfig;
use diptych_embedded::{CACHE_BYTES_DEFAULT, Embedded, EmbeddedViewCache, Storage};
use diptych_integration_tests::spans::{Caller, with_headers};
use diptych_kernel::{
    Partitions, StreamId,
    domain::{Domain, ViewId},
};
use diptych_ledger::{
    Ledger,
    grpc::{LedgerCommandService, LedgerQueryService},
};
use diptych_projector::{Ports, ProjectorConfig};
use diptych_proto::{
    diptych::v1::{Consistency, Receipt},
    ledger::{
        command::v1::{
            DepositRequest, OpenAccountRequest, command_service_client::CommandServiceClient,
            command_service_server::CommandServiceServer,
        },
        query::{
            v1::{GetAccountRequest, query_service_client::QueryServiceClient},
            v1_encoded::query_service_server::QueryServiceServer,
        },
    },
};
use diptych_query::{QueryConfig, Reader};
use diptych_relay::RelayConfig;
use diptych_runtime::{
    SystemClock, Tasks,
    grpc::{Limits, ServerBuilder},
};
use tokio::{net::TcpListener, sync::watch};
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

const PARTITIONS: u16 = 4;
/// Longer than any step takes on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A running pipeline and its stores.
pub(crate) struct EmbeddedInstallation {
    address: String,
    pub(crate) stores: Embedded,
}

impl EmbeddedInstallation {
    fn channel(&self) -> Channel {
        Endpoint::from_shared(self.address.clone()).unwrap().connect_lazy()
    }

    pub(crate) fn commands(&self) -> CommandServiceClient<Channel> {
        CommandServiceClient::new(self.channel())
    }

    pub(crate) fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel())
    }

    /// Opens a new account without a trace; returns its id.
    pub(crate) async fn account(&self) -> String {
        let account_id = format!("acct-{}", Uuid::new_v4().simple());
        let open = OpenAccountRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.clone(),
            owner_id: "olga".to_owned(),
            currency_code: "CZK".to_owned(),
            ..OpenAccountRequest::default()
        };
        self.commands().open_account(Caller::unsampled().request(open)).await.unwrap();
        account_id
    }

    pub(crate) async fn deposit(&self, account_id: &str, headers: &[(&'static str, &str)]) -> Receipt {
        let request = with_headers(deposit(account_id), headers);
        self.commands().deposit(request).await.unwrap().into_inner().receipt.unwrap()
    }

    /// Waits until the reader knows that the accounts of this account's partition include the receipt. The row of the
    /// account is not read: the query is for a missing account of the same partition.
    pub(crate) async fn until_progress_includes(&self, receipt: &Receipt, account_id: &str) {
        let partitions = Partitions::new(PARTITIONS).unwrap();
        let partition = |id: &str| partitions.of(&StreamId::new(&format!("account-{id}")).unwrap());
        let mut others = (0..).map(|number| format!("missing-{number}"));
        let other = others.find(|other| partition(other) == partition(account_id)).unwrap();
        let consistency = Some(Consistency { at_least_as_fresh: receipt.written_at.clone(), ..Consistency::default() });
        let mut request = Caller::unsampled().request(GetAccountRequest { account_id: other, consistency });
        request.set_timeout(TIMEOUT);
        let status = self.queries().get_account(request).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
    }
}

/// Starts all components and both services. The projector and the reader have separate caches, so that a first query
/// always misses.
pub(crate) async fn serve(tasks: &Tasks) -> EmbeddedInstallation {
    let partitions = Partitions::new(PARTITIONS).unwrap();
    let stores = Embedded::open(&Storage::Memory, partitions, Arc::new(SystemClock)).unwrap();
    let Embedded { events, log, views, cache, tokens, .. } = stores.clone();
    let commands = diptych_command::start::<Ledger, _>(Arc::clone(&events), SequencerConfig::default(), tasks);
    let relay =
        diptych_relay::run(Arc::clone(&events), Arc::clone(&log), RelayConfig::new("relay-1"), tasks.shutdown());
    tasks.spawn_fallible("relay", relay);
    let ports = Ports { events, log, views: Arc::clone(&views), progress: Arc::clone(&views), cache };
    let config = ProjectorConfig::new("projector", "projector-1");
    let projector =
        diptych_projector::run::<Ledger, _, _, _, _, _>(ports, config, watch::Sender::default(), tasks.shutdown());
    tasks.spawn_fallible("projector", projector);

    let ids: Vec<ViewId> = Ledger::views().iter().map(|view| view.id()).collect();
    let cache = Arc::new(EmbeddedViewCache::new(CACHE_BYTES_DEFAULT));
    // A cache request or a read that times out would add spans, or leave some out.
    let config = QueryConfig { cache_timeout: TIMEOUT, store_timeout: TIMEOUT, ..QueryConfig::default() };
    let reader = Reader::start(Arc::clone(&views), views, cache, ids, partitions, config, tasks);
    reader.ready().await;
    let server = ServerBuilder::new(Limits::default())
        .add_service(CommandServiceServer::new(LedgerCommandService::new(commands, tokens.clone(), tasks.shutdown())))
        .add_service(QueryServiceServer::new(LedgerQueryService::new(reader, partitions, tokens)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mounted = server.build().await.unwrap();
    tasks.spawn_fallible("grpc", mounted.serve(listener, tasks.shutdown(), Duration::from_secs(5)));
    EmbeddedInstallation { address, stores }
}

pub(crate) fn deposit(account_id: &str) -> DepositRequest {
    DepositRequest {
        request_id: Uuid::new_v4().to_string(),
        account_id: account_id.to_owned(),
        amount_minor: 100,
        currency_code: "CZK".to_owned(),
        ..DepositRequest::default()
    }
}

pub(crate) fn get_account(account_id: &str) -> GetAccountRequest {
    GetAccountRequest { account_id: account_id.to_owned(), consistency: None }
}
