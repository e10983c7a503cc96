//! Commands over one call, for volume.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use diptych_command::{CommandError, CommandHandle, Done, Pending};
use diptych_kernel::EventMetadata;
use diptych_proto::ledger::command::v1::{
    ExecuteCommandsRequest, ExecuteCommandsResponse, execute_commands_request::Command,
    execute_commands_response::Result as CommandResult,
};
use diptych_runtime::{
    Failure, Shutdown,
    grpc::{CommandSpan, with_reason},
    trace,
};
use futures::{StreamExt, stream};
use tonic::{Code, Status, Streaming};
use tracing::Span;

use super::{
    convert, command_service,
    ordered_futures::OrderedFutures,
    status,
    validate::{self, ValidatedCommand},
};
use crate::{Ledger, domain::Refusal};

/// How many commands of one stream may be unanswered.
const UNANSWERED_MAX: usize = 1_024;

/// How much of a request id is sent back; a good one has 36 bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// One answer per command, in the order of the commands.
pub(super) type Answers = stream::BoxStream<'static, Result<ExecuteCommandsResponse, Status>>;

/// Answers the commands of a call. There is no task behind it: commands are taken when the caller reads answers, so a caller that
/// stops reading holds up nobody but itself, and all ends with the call.
pub(super) fn answers(
    requests: Streaming<ExecuteCommandsRequest>,
    commands: CommandHandle<Ledger>,
    metadata: EventMetadata,
    shutdown: Shutdown,
) -> Answers {
    let span = trace::current();
    let intake = Intake { requests: requests.boxed(), commands, metadata, span, sequence: 0, shutdown };
    let taken = stream::unfold(Some(intake), |intake| async {
        let mut intake = intake?;
        let answer = intake.next().await?;
        let goes_on = !matches!(answer, Answer::End(_));
        Some((answer, goes_on.then_some(intake)))
    });
    OrderedFutures::new(taken, UNANSWERED_MAX).boxed()
}

/// Takes commands one after another.
struct Intake {
    requests: stream::BoxStream<'static, Result<ExecuteCommandsRequest, Status>>,
    commands: CommandHandle<Ledger>,
    metadata: EventMetadata,
    /// That of the call, where it is traced.
    span: Option<Span>,
    /// Of the last message taken; 0 before the first.
    sequence: i64,
    shutdown: Shutdown,
}

impl Intake {
    /// The answer to the next message; `None` where the caller is done.
    async fn next(&mut self) -> Option<Answer> {
        let request = tokio::select! {
            // Shutdown first: a caller that never pauses would keep it waiting.
            biased;
            () = self.shutdown.begun() => return Some(Answer::End(status::status(&Failure::ShuttingDown))),
            request = self.requests.next() => request?,
        };
        Some(match request {
            Ok(request) => self.take(request).await,
            // A message that is no ExecuteCommandsRequest, or a connection that broke: nothing after it can be read.
            Err(status) => Answer::End(with_reason(status)),
        })
    }

    async fn take(&mut self, request: ExecuteCommandsRequest) -> Answer {
        self.sequence = self.sequence.saturating_add(1);
        let span = CommandSpan::begin(self.span.as_ref(), name_of(&request));
        let metadata = span.metadata(&self.metadata);
        let mut number = Number { sequence: self.sequence, request_id: echo(request_id_of(&request)), span };
        let checked = match check(request) {
            Ok(checked) => checked,
            Err(failure) => return Answer::Known(number.error(&failure)),
        };
        match self.commands.submit_when_room(checked.into_submission(metadata)).await {
            Ok(pending) => Answer::Pending(number, pending),
            Err(error) => Answer::Known(number.error(&command_service::failure(error))),
        }
    }
}

fn check(request: ExecuteCommandsRequest) -> Result<ValidatedCommand, Failure> {
    match request.command.ok_or_else(|| Failure::missing("command"))? {
        Command::OpenAccount(request) => validate::check(request),
        Command::Deposit(request) => validate::check(request),
        Command::Withdraw(request) => validate::check(request),
        Command::Transfer(request) => validate::check(request),
        Command::FreezeAccount(request) => validate::check(request),
        Command::UnfreezeAccount(request) => validate::check(request),
        Command::CloseAccount(request) => validate::check(request),
    }
}

/// The name of a command's message, for its span.
fn name_of(request: &ExecuteCommandsRequest) -> &'static str {
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

/// A request id as sent. One that is much too long is cut: it is refused anyway, and a thousand of them must not fill the memory.
fn echo(request_id: &str) -> String {
    let end = request_id.floor_char_boundary(REQUEST_ID_BYTES_MAX);
    request_id.get(..end).unwrap_or_default().to_owned()
}

/// Which message an answer is for.
struct Number {
    sequence: i64,
    request_id: String,
    span: CommandSpan,
}

impl Number {
    fn done(&mut self, outcome: Result<Done, CommandError<Refusal>>) -> ExecuteCommandsResponse {
        match outcome {
            Ok(Done { receipt, repeated }) => {
                self.span.end(Code::Ok);
                self.response(CommandResult::Receipt(convert::receipt(&receipt)), repeated)
            }
            Err(error) => self.error(&command_service::failure(error)),
        }
    }

    fn error(&mut self, failure: &Failure) -> ExecuteCommandsResponse {
        self.span.end(failure.code());
        self.response(CommandResult::Error(status::rpc_status(failure)), false)
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

/// An answer that is known, or will be.
enum Answer {
    /// The write side has the command.
    Pending(Number, Pending<Ledger>),
    /// It did not get there.
    Known(ExecuteCommandsResponse),
    /// The stream ends here. The commands after it were not taken.
    End(Status),
}

impl Future for Answer {
    type Output = Result<ExecuteCommandsResponse, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut *self {
            Self::Pending(number, pending) => {
                let outcome = std::task::ready!(Pin::new(pending).poll(cx));
                Ok(number.done(outcome))
            }
            Self::Known(response) => Ok(std::mem::take(response)),
            Self::End(status) => Err(status.clone()),
        })
    }
}
