//! The `ExecuteCommands` stream: many commands over one call, for throughput.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use diptych_command::{CommandError, Executed, Execution};
use diptych_kernel::{EventMetadata, RequestId, vocabulary::TokenIssuer};
use diptych_proto::ledger::command::v1::{
    ExecuteCommandsRequest, ExecuteCommandsResponse, execute_commands_request::Command,
    execute_commands_response::Result as CommandResult,
};
use diptych_runtime::{
    Failure,
    grpc::{CommandSpan, with_reason},
    trace,
};
use futures::{StreamExt, stream};
use tonic::{Code, Status, Streaming};
use tracing::Span;

use super::{
    command_service::LedgerCommandService,
    convert,
    ordered_futures::OrderedFutures,
    status,
    validate::{self, ValidatedCommand},
};
use crate::{Ledger, domain::Refusal};

/// Maximum number of unanswered commands of one stream.
const UNANSWERED_MAX: usize = 1_024;

/// Maximum length of the request id in a response. A valid one has 36 bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// One response per command, in the order of the commands.
pub(super) type ResponseStream = stream::BoxStream<'static, Result<ExecuteCommandsResponse, Status>>;

/// Executes the commands of a call. It spawns no task: commands are read when the caller polls for responses, so a
/// caller that stops reading blocks only its own stream, and everything ends with the call.
pub(super) fn responses(
    requests: Streaming<ExecuteCommandsRequest>,
    service: LedgerCommandService,
    metadata: EventMetadata,
) -> ResponseStream {
    let span = trace::current();
    let reader = CommandReader { requests: requests.boxed(), service, metadata, span, sequence: 0 };
    let submitted = stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        let response = reader.next().await?;
        let continues = !matches!(response, ResponseFuture::End(_));
        Some((response, continues.then_some(reader)))
    });
    OrderedFutures::new(submitted, UNANSWERED_MAX).boxed()
}

/// Reads and submits the commands of a stream, one after another.
struct CommandReader {
    requests: stream::BoxStream<'static, Result<ExecuteCommandsRequest, Status>>,
    service: LedgerCommandService,
    metadata: EventMetadata,
    /// The span of the call, where it is traced.
    span: Option<Span>,
    /// Number of the last message read; 0 before the first.
    sequence: i64,
}

impl CommandReader {
    /// Submits the next command; `None` at the end of the caller's stream.
    async fn next(&mut self) -> Option<ResponseFuture> {
        let request = tokio::select! {
            // Shutdown first: a caller that sends without pause would delay it for ever.
            biased;
            () = self.service.shutdown.begun() => {
                return Some(ResponseFuture::End(status::status(&Failure::ShuttingDown)));
            }
            request = self.requests.next() => request?,
        };
        Some(match request {
            Ok(request) => self.submit(request).await,
            // The message cannot be decoded, or the connection is lost: nothing after it can be read.
            Err(status) => ResponseFuture::End(with_reason(status)),
        })
    }

    async fn submit(&mut self, request: ExecuteCommandsRequest) -> ResponseFuture {
        self.sequence = self.sequence.saturating_add(1);
        let span = CommandSpan::begin(self.span.as_ref(), command_name(&request));
        let metadata = span.metadata(&self.metadata);
        let request_id = truncated(request_id_of(&request));
        let mut context =
            CommandContext { sequence: self.sequence, request_id, span, tokens: self.service.tokens.clone() };
        let mut validated = match validate_command(request) {
            Ok(validated) => validated,
            Err(failure) => return ResponseFuture::Ready(context.error(&failure, false)),
        };
        if let Some(earlier) = validated.after_queued {
            self.service.commands.wait_until_queue_read(earlier).await;
        }
        let (request_id, queueable) = (validated.request_id, validated.queueable.take());
        match self.service.commands.execute(validated.into_submission(metadata), queueable).await {
            Ok(pending) => ResponseFuture::Pending(context, request_id, pending),
            Err(error) => ResponseFuture::Ready(context.error(&status::command_failure(error), false)),
        }
    }
}

fn validate_command(request: ExecuteCommandsRequest) -> Result<ValidatedCommand, Failure> {
    match request.command.ok_or_else(|| Failure::missing("command"))? {
        Command::OpenAccount(request) => validate::command(request),
        Command::Deposit(request) => validate::command(request),
        Command::Withdraw(request) => validate::command(request),
        Command::Transfer(request) => validate::command(request),
        Command::FreezeAccount(request) => validate::command(request),
        Command::UnfreezeAccount(request) => validate::command(request),
        Command::CloseAccount(request) => validate::command(request),
    }
}

/// The name of a command, for its span.
fn command_name(request: &ExecuteCommandsRequest) -> &'static str {
    match &request.command {
        Some(Command::OpenAccount(_)) => "OpenAccount",
        Some(Command::Deposit(_)) => "Deposit",
        Some(Command::Withdraw(_)) => "Withdraw",
        Some(Command::Transfer(_)) => "Transfer",
        Some(Command::FreezeAccount(_)) => "FreezeAccount",
        Some(Command::UnfreezeAccount(_)) => "UnfreezeAccount",
        Some(Command::CloseAccount(_)) => "CloseAccount",
        None => "nothing",
    }
}

fn request_id_of(request: &ExecuteCommandsRequest) -> &str {
    match &request.command {
        Some(Command::OpenAccount(request)) => &request.request_id,
        Some(Command::Deposit(request)) => &request.request_id,
        Some(Command::Withdraw(request)) => &request.request_id,
        Some(Command::Transfer(request)) => &request.request_id,
        Some(Command::FreezeAccount(request)) => &request.request_id,
        Some(Command::UnfreezeAccount(request)) => &request.request_id,
        Some(Command::CloseAccount(request)) => &request.request_id,
        None => "",
    }
}

/// A request id as sent. One that is much too long, and so invalid, is truncated: 1,024 unanswered commands keep theirs
/// in memory.
fn truncated(request_id: &str) -> String {
    let end = request_id.floor_char_boundary(REQUEST_ID_BYTES_MAX);
    request_id.get(..end).unwrap_or_default().to_owned()
}

/// Identifies the command that a response is for.
struct CommandContext {
    sequence: i64,
    request_id: String,
    span: CommandSpan,
    tokens: TokenIssuer,
}

impl CommandContext {
    fn outcome(
        &mut self,
        request_id: RequestId,
        outcome: Result<Executed<Refusal>, CommandError<Refusal>>,
    ) -> ExecuteCommandsResponse {
        match outcome {
            Ok(executed) => {
                self.span.end(Code::Ok);
                let (receipt, repeated) = convert::executed(request_id, executed, &self.tokens);
                self.response(CommandResult::Receipt(receipt), repeated)
            }
            Err(error) => {
                let repeated = error.is_repeated();
                self.error(&status::command_failure(error), repeated)
            }
        }
    }

    fn error(&mut self, failure: &Failure, repeated: bool) -> ExecuteCommandsResponse {
        self.span.end(failure.code());
        self.response(CommandResult::Error(status::rpc_status(failure)), repeated)
    }

    fn response(&mut self, result: CommandResult, repeated: bool) -> ExecuteCommandsResponse {
        ExecuteCommandsResponse {
            sequence: self.sequence,
            request_id: std::mem::take(&mut self.request_id),
            result: Some(result),
            repeated,
        }
    }
}

/// The response to one command.
enum ResponseFuture {
    /// The sequencer has the command.
    Pending(CommandContext, RequestId, Execution<Ledger>),
    /// The command was not submitted.
    Ready(ExecuteCommandsResponse),
    /// The stream ends here. The commands after it are not read.
    End(Status),
}

impl Future for ResponseFuture {
    type Output = Result<ExecuteCommandsResponse, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut *self {
            Self::Pending(context, request_id, pending) => {
                let outcome = std::task::ready!(Pin::new(pending).poll(cx));
                Ok(context.outcome(*request_id, outcome))
            }
            Self::Ready(response) => Ok(std::mem::take(response)),
            Self::End(status) => Err(status.clone()),
        })
    }
}
