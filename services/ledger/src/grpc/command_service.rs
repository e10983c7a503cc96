//! Implementation of the gRPC command service.

use diptych_command::{CommandError, CommandHandle, Executed, QueuedReceipt, ReceiptState};
use diptych_kernel::{EventMetadata, vocabulary::TokenIssuer};
use diptych_proto::{
    diptych::v1::Receipt,
    ledger::command::v1::{self, command_service_server::CommandService},
};
use diptych_runtime::{Failure, Shutdown, event_metadata, grpc};
use tonic::{Request, Response, Status, Streaming};

use super::{
    command_stream::{self, ResponseStream},
    convert, deadline, status,
    validate::{self, CommandRequest, ValidatedCommand},
};
use crate::{Ledger, domain::Refusal};

/// The gRPC command service: validates a command, submits it to the sequencer, and returns its receipt.
#[derive(Debug, Clone)]
pub struct LedgerCommandService {
    pub(super) commands: CommandHandle<Ledger>,
    pub(super) tokens: TokenIssuer,
    pub(super) shutdown: Shutdown,
}

impl LedgerCommandService {
    /// Creates a service that submits to `commands`, and issues receipts with `tokens`. When `shutdown` begins,
    /// `ExecuteCommands` streams answer the commands that they have read and end; unary calls end on their own.
    #[must_use]
    pub fn new(commands: CommandHandle<Ledger>, tokens: TokenIssuer, shutdown: Shutdown) -> Self {
        Self { commands, tokens, shutdown }
    }

    async fn execute<R: CommandRequest>(&self, request: Request<R>) -> Result<(Option<Receipt>, bool), Status> {
        let (metadata, timeout) =
            (event_metadata(request.metadata()), grpc::caller_timeout(request.metadata().as_ref()));
        let validated = validate::command(request.into_inner()).map_err(|failure| status::status(&failure))?;
        let request_id = validated.request_id;
        // Past the deadline the command still continues; a repeat with the same request id returns its outcome.
        let outcome = deadline::within_deadline(timeout, self.outcome(validated, metadata)).await;
        let executed = outcome.unwrap_or(Err(CommandError::OutcomeUnknown)).map_err(command_status)?;
        let (receipt, repeated) = convert::executed(request_id, executed, &self.tokens);
        Ok((Some(receipt), repeated))
    }

    async fn outcome(
        &self,
        mut validated: ValidatedCommand,
        metadata: EventMetadata,
    ) -> Result<Executed<Refusal>, CommandError<Refusal>> {
        if let Some(earlier) = validated.after_queued {
            self.commands.wait_until_queue_read(earlier).await;
        }
        let queueable = validated.queueable.take();
        self.commands.try_execute(validated.into_submission(metadata), queueable)?.await
    }
}

fn command_status(error: CommandError<Refusal>) -> Status {
    status::status(&status::command_failure(error))
}

#[tonic::async_trait]
impl CommandService for LedgerCommandService {
    async fn open_account(
        &self,
        request: Request<v1::OpenAccountRequest>,
    ) -> Result<Response<v1::OpenAccountResponse>, Status> {
        let (receipt, repeated) = self.execute(request).await?;
        Ok(Response::new(v1::OpenAccountResponse { receipt, repeated }))
    }

    async fn deposit(&self, request: Request<v1::DepositRequest>) -> Result<Response<v1::DepositResponse>, Status> {
        let (receipt, repeated) = self.execute(request).await?;
        Ok(Response::new(v1::DepositResponse { receipt, repeated }))
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        let (receipt, repeated) = self.execute(request).await?;
        Ok(Response::new(v1::WithdrawResponse { receipt, repeated }))
    }

    async fn transfer(&self, request: Request<v1::TransferRequest>) -> Result<Response<v1::TransferResponse>, Status> {
        let (receipt, repeated) = self.execute(request).await?;
        Ok(Response::new(v1::TransferResponse { receipt, repeated }))
    }

    async fn freeze_account(
        &self,
        request: Request<v1::FreezeAccountRequest>,
    ) -> Result<Response<v1::FreezeAccountResponse>, Status> {
        let (receipt, repeated) = self.execute(request).await?;
        Ok(Response::new(v1::FreezeAccountResponse { receipt, repeated }))
    }

    async fn unfreeze_account(
        &self,
        request: Request<v1::UnfreezeAccountRequest>,
    ) -> Result<Response<v1::UnfreezeAccountResponse>, Status> {
        let (receipt, repeated) = self.execute(request).await?;
        Ok(Response::new(v1::UnfreezeAccountResponse { receipt, repeated }))
    }

    async fn close_account(
        &self,
        request: Request<v1::CloseAccountRequest>,
    ) -> Result<Response<v1::CloseAccountResponse>, Status> {
        let (receipt, repeated) = self.execute(request).await?;
        Ok(Response::new(v1::CloseAccountResponse { receipt, repeated }))
    }

    async fn get_receipt(
        &self,
        request: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<v1::GetReceiptResponse>, Status> {
        let request_id =
            validate::request_id(&request.get_ref().request_id).map_err(|failure| status::status(&failure))?;
        let timeout = grpc::caller_timeout(request.metadata().as_ref());
        let state = deadline::within_deadline(timeout, self.commands.receipt_state(request_id)).await;
        let receipt = match state.unwrap_or(Err(CommandError::OutcomeUnknown)).map_err(command_status)? {
            ReceiptState::Committed(receipt) => convert::receipt(&receipt, &self.tokens),
            ReceiptState::Queued(offset) => {
                convert::queued_receipt(request_id, QueuedReceipt { offset, expected: None })
            }
            ReceiptState::Unknown => return Err(status::status(&Failure::ReceiptNotFound { request_id })),
        };
        Ok(Response::new(v1::GetReceiptResponse { receipt: Some(receipt) }))
    }

    type ExecuteCommandsStream = ResponseStream;

    async fn execute_commands(
        &self,
        request: Request<Streaming<v1::ExecuteCommandsRequest>>,
    ) -> Result<Response<ResponseStream>, Status> {
        let metadata = event_metadata(request.metadata());
        let requests = request.into_inner();
        Ok(Response::new(command_stream::responses(requests, self.clone(), metadata)))
    }
}
