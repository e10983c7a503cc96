//! A stub instance of both services, served by the product's own server, whose answers name the instance.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use diptych_proto::{
    diptych::v1::{Receipt, StreamVersion},
    ledger::{
        command::v1::{command_service_server::*, *},
        query::v1::{query_service_server::*, *},
    },
};
use diptych_runtime::{
    DomainRefusal, Failure, Shutdown,
    grpc::{Health, Limits, ServerBuilder},
};
use futures::{StreamExt, stream::BoxStream};
use parking_lot::Mutex;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinHandle,
};
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataMap};

/// Calls about this account are never answered.
pub(crate) const SLOW: &str = "slow";
/// Commands about this account are refused.
pub(crate) const POOR: &str = "poor";
/// Calls about this account fail with an error that another instance may not have.
pub(crate) const RETRYABLE: &str = "retryable";
/// Calls about this account fail with an error that every instance has.
pub(crate) const NOT_RETRYABLE: &str = "not-retryable";

/// One instance, in a runtime of its own, so that it can be killed. Ready after its start.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) stub: Stub,
    health: Health,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
    runtime: Option<Runtime>,
}

impl Backend {
    pub(crate) fn start(name: &'static str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stub, shutdown) = (Stub { name, received: Arc::default() }, Shutdown::new());
        let limits = Limits::default();
        let bytes_max = limits.message_received_bytes_max;
        let server = ServerBuilder::new(limits)
            .add_service(CommandServiceServer::new(stub.clone()).max_decoding_message_size(bytes_max))
            .add_service(QueryServiceServer::new(stub.clone()).max_decoding_message_size(bytes_max));
        let (listener, mounted) = std::thread::scope(|scope| {
            // On another thread, because the test's own runtime must not block.
            let bind = async { (TcpListener::bind("127.0.0.1:0").await.unwrap(), server.build().await.unwrap()) };
            scope.spawn(|| runtime.block_on(bind)).join().unwrap()
        });
        let (address, health) = (listener.local_addr().unwrap(), mounted.health());
        let (stopping, ready) = (shutdown.clone(), health.clone());
        let serving = runtime.spawn(async move {
            ready.ready().await;
            mounted.serve(listener, stopping, Duration::from_secs(20)).await.unwrap();
        });
        Self { address, stub, health, shutdown, serving, runtime: Some(runtime) }
    }

    /// Stops as the product does: reports not ready, accepts no new connections, answers the calls that it has.
    pub(crate) async fn stop(&mut self) {
        self.health.not_ready().await;
        self.shutdown.begin();
        (&mut self.serving).await.unwrap();
        self.kill();
    }

    /// Reports not ready, and goes on serving.
    pub(crate) async fn not_ready(&self) {
        self.health.not_ready().await;
    }

    /// Ends at once, and closes all connections.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The services. Records received calls.
#[derive(Clone)]
pub(crate) struct Stub {
    name: &'static str,
    received: Arc<Mutex<Vec<ReceivedCall>>>,
}

/// A received call.
pub(crate) struct ReceivedCall {
    pub(crate) account_id: String,
    pub(crate) metadata: MetadataMap,
}

impl Stub {
    /// The calls about this account, in order.
    pub(crate) fn calls(&self, account_id: &str) -> Vec<MetadataMap> {
        let received = self.received.lock();
        received.iter().filter(|call| call.account_id == account_id).map(|call| call.metadata.clone()).collect()
    }

    async fn answer(&self, metadata: &MetadataMap, account_id: &str, request_id: &str) -> Result<Receipt, Status> {
        self.received.lock().push(ReceivedCall { account_id: account_id.to_owned(), metadata: metadata.clone() });
        match account_id {
            SLOW => std::future::pending().await,
            RETRYABLE => Err(Failure::WriteUnavailable.into()),
            NOT_RETRYABLE => Err(Failure::OutcomeUnknown.into()),
            POOR => Err(Failure::Refused(DomainRefusal {
                domain: "ledger.command.v1",
                reason: "INSUFFICIENT_FUNDS",
                code: Code::FailedPrecondition,
                message: "account poor holds too little".to_owned(),
                metadata: vec![("account_id", account_id.to_owned())],
            })
            .into()),
            _ => Ok(self.receipt(request_id)),
        }
    }

    /// A receipt whose stream id is the name of this instance.
    fn receipt(&self, request_id: &str) -> Receipt {
        let stream = StreamVersion { stream_id: self.name.to_owned(), version: 1 };
        Receipt { request_id: request_id.to_owned(), streams: vec![stream], ..Receipt::default() }
    }
}

/// Implements the command service: every command is answered with a receipt.
macro_rules! command_service {
    ($($method:ident($request:ident) -> $response:ident about $account:ident;)*) => {
        #[tonic::async_trait]
        impl CommandService for Stub {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let (metadata, _, request) = request.into_parts();
                let receipt = self.answer(&metadata, &request.$account, &request.request_id).await?;
                Ok(Response::new($response { receipt: Some(receipt), repeated: false }))
            })*

            async fn get_receipt(
                &self,
                request: Request<GetReceiptRequest>,
            ) -> Result<Response<GetReceiptResponse>, Status> {
                let receipt = Some(self.receipt(&request.into_inner().request_id));
                Ok(Response::new(GetReceiptResponse { receipt }))
            }

            type ExecuteCommandsStream = BoxStream<'static, Result<ExecuteCommandsResponse, Status>>;

            async fn execute_commands(
                &self,
                request: Request<Streaming<ExecuteCommandsRequest>>,
            ) -> Result<Response<Self::ExecuteCommandsStream>, Status> {
                let stub = self.clone();
                let answers = request.into_inner().zip(futures::stream::iter(1..)).map(move |(command, sequence)| {
                    command?;
                    let result = Some(execute_commands_response::Result::Receipt(stub.receipt("")));
                    Ok(ExecuteCommandsResponse { sequence, result, ..ExecuteCommandsResponse::default() })
                });
                Ok(Response::new(answers.boxed()))
            }
        }
    };
}

command_service! {
    open_account(OpenAccountRequest) -> OpenAccountResponse about account_id;
    deposit(DepositRequest) -> DepositResponse about account_id;
    withdraw(WithdrawRequest) -> WithdrawResponse about account_id;
    transfer(TransferRequest) -> TransferResponse about from_account_id;
    freeze_account(FreezeAccountRequest) -> FreezeAccountResponse about account_id;
    unfreeze_account(UnfreezeAccountRequest) -> UnfreezeAccountResponse about account_id;
    close_account(CloseAccountRequest) -> CloseAccountResponse about account_id;
}

#[tonic::async_trait]
impl QueryService for Stub {
    async fn get_account(&self, request: Request<GetAccountRequest>) -> Result<Response<GetAccountResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        self.answer(&metadata, &request.account_id, "").await?;
        let account = Account { account_id: request.account_id, owner_id: self.name.to_owned(), ..Account::default() };
        Ok(Response::new(GetAccountResponse { account: Some(account), read_at: None }))
    }

    async fn batch_get_accounts(
        &self,
        request: Request<BatchGetAccountsRequest>,
    ) -> Result<Response<BatchGetAccountsResponse>, Status> {
        let missing_account_ids = request.into_inner().account_ids;
        Ok(Response::new(BatchGetAccountsResponse { missing_account_ids, ..BatchGetAccountsResponse::default() }))
    }

    async fn list_entries(&self, _: Request<ListEntriesRequest>) -> Result<Response<ListEntriesResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn list_accounts(&self, _: Request<ListAccountsRequest>) -> Result<Response<ListAccountsResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn get_totals(&self, _: Request<GetTotalsRequest>) -> Result<Response<GetTotalsResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}
