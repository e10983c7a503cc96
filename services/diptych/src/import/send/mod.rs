//! Sends the commands of a file over a stream, and over a new one when that breaks.

use std::time::Duration;

use diptych_proto::{
    diptych::v1::Receipt,
    google::rpc,
    ledger::command::v1::{
        ExecuteCommandsRequest, ExecuteCommandsResponse, command_service_client::CommandServiceClient,
        execute_commands_response,
    },
};
use diptych_runtime::{Backoff, pause};
use futures::{Stream, StreamExt};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{
    commands::{ImportCommand, ImportCommands},
    counts::Counts,
    in_flight::{Answered, CommandAnswer, InFlight},
    progress::Progress,
    validation::ValidFile,
};
use crate::client::{Connection, call_error::CallError};

/// Most answers processed together: the commands that follow them are then sent together too.
const ANSWERS_TOGETHER_MAX: usize = 128;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Opens streams of commands; implemented by the client of the command service, and by tests.
pub(crate) trait CommandStreams {
    /// The answers, one per command, in order.
    type Answers: Stream<Item = Result<ExecuteCommandsResponse, Status>> + Unpin;

    /// Opens a stream that sends the commands received from `commands`.
    async fn open(&mut self, commands: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status>;
}

impl CommandStreams for CommandServiceClient<Connection> {
    type Answers = tonic::Streaming<ExecuteCommandsResponse>;

    async fn open(&mut self, commands: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
        Ok(self.execute_commands(ReceiverStream::new(commands)).await?.into_inner())
    }
}

/// The reason why sending ended before the end of the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No command was committed or refused until the timeout.
    #[error(
        "no command was committed or refused for {timeout_seconds} s; last error: {last_error}. Committed rows are kept; \
         run the same import again to continue"
    )]
    Timeout {
        /// The timeout.
        timeout_seconds: u64,
        /// The last temporary error.
        last_error: String,
    },
    /// The server refused the stream.
    #[error("the server refused the commands: {reason}: {message}")]
    Rejected {
        /// Reason of the error.
        reason: String,
        /// Message of the error.
        message: String,
    },
    /// An answer belongs to another command than the oldest in flight.
    #[error(
        "the server answered request {got:?} where the answer to {expected:?} was next; server and `diptych import` may be \
         of different versions"
    )]
    OutOfOrder {
        /// Request id in the answer.
        got: String,
        /// Request id of the oldest command in flight.
        expected: String,
    },
    /// The file could not be read to its end.
    #[error("{0:#}")]
    File(anyhow::Error),
}

/// Sends all commands, each until it has a receipt or is refused.
///
/// # Errors
/// See [`SendError`]. The counts are those until the error.
pub(crate) async fn send_all<S: CommandStreams>(
    streams: &mut S,
    commands: ImportCommands<'_>,
    file: &ValidFile,
    options: SendOptions<'_>,
    counts: &mut Counts,
) -> Result<(), SendError> {
    let mut sender = Sender {
        commands,
        file,
        in_flight: InFlight::new(options.in_flight_max),
        backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
        timeout: options.timeout,
        answered_at: Instant::now(),
        last_error: "the server did not answer".to_owned(),
        is_disconnected: false,
        progress: options.progress,
        counts,
    };
    loop {
        match sender.send_over_stream(streams).await {
            Ok(()) => return Ok(()),
            Err(StreamEnd::Broken(error)) if error.is_final() => {
                return Err(SendError::Rejected { reason: error.reason, message: error.message });
            }
            Err(StreamEnd::Broken(error)) => sender.resend_after(&error).await?,
            Err(StreamEnd::Failed(error)) => return Err(error),
        }
    }
}

/// Options of [`send_all`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendOptions<'a> {
    /// The maximum number of commands in flight.
    pub(crate) in_flight_max: usize,
    /// Time without a committed or refused command after which sending fails.
    pub(crate) timeout: Duration,
    /// Display of the progress.
    pub(crate) progress: &'a Progress,
}

/// The reason why a stream ended before the end of the file.
enum StreamEnd {
    /// The stream broke; commands may be sent again over a new one.
    Broken(CallError),
    /// Sending must end.
    Failed(SendError),
}

impl From<Status> for StreamEnd {
    fn from(status: Status) -> Self {
        Self::Broken(CallError::from(&status))
    }
}

impl From<SendError> for StreamEnd {
    fn from(error: SendError) -> Self {
        Self::Failed(error)
    }
}

/// The state of sending.
struct Sender<'a> {
    commands: ImportCommands<'a>,
    file: &'a ValidFile,
    in_flight: InFlight,
    backoff: Backoff,
    timeout: Duration,
    /// Time of the last command that was committed or refused.
    answered_at: Instant,
    last_error: String,
    /// No command was committed or refused since the connection was lost, so its loss is not printed again.
    is_disconnected: bool,
    progress: &'a Progress,
    counts: &'a mut Counts,
}

impl Sender<'_> {
    /// Sends over one stream until all commands are answered, or the stream ends.
    async fn send_over_stream<S: CommandStreams>(&mut self, streams: &mut S) -> Result<(), StreamEnd> {
        // The channel has room for all commands in flight, so sending into it never waits.
        let (sender, receiver) = mpsc::channel(self.in_flight.limit());
        self.send(&sender)?;
        if self.in_flight.is_empty() {
            return Ok(());
        }
        let answers = self.until_timeout(streams.open(receiver)).await??;
        let mut answers = answers.ready_chunks(ANSWERS_TOGETHER_MAX);
        loop {
            let Some(answers) = self.until_timeout(answers.next()).await? else {
                return Err(Status::unavailable("the server ended the stream").into());
            };
            for answer in answers {
                self.receive(answer?)?;
            }
            self.progress.show(self.counts);
            if self.in_flight.is_ready_to_retry() {
                self.pause().await?;
                self.in_flight.resend();
            }
            self.send(&sender)?;
            if self.in_flight.is_empty() {
                return Ok(());
            }
        }
    }

    /// Sends commands up to the limit of those in flight.
    fn send(&mut self, sender: &mpsc::Sender<ExecuteCommandsRequest>) -> Result<(), StreamEnd> {
        let Self { in_flight, commands, .. } = self;
        while let Some(command) = in_flight.send_next(|| commands.next().transpose()).map_err(SendError::File)? {
            if sender.try_send(command.request.clone()).is_err() {
                return Err(Status::unavailable("the connection was lost").into());
            }
        }
        Ok(())
    }

    fn receive(&mut self, response: ExecuteCommandsResponse) -> Result<(), SendError> {
        let expected = self.in_flight.oldest().map_or("", ImportCommand::request_id);
        if expected != response.request_id || expected.is_empty() {
            return Err(SendError::OutOfOrder { got: response.request_id, expected: expected.to_owned() });
        }
        let (answer, receipt, error) = match response.result {
            Some(execute_commands_response::Result::Receipt(receipt)) => (CommandAnswer::Committed, receipt, None),
            Some(execute_commands_response::Result::Error(status)) => error_answer(&status, response.repeated),
            None => error_answer(&rpc::Status { code: i32::from(Code::Unknown), ..rpc::Status::default() }, false),
        };
        match (self.in_flight.answer_oldest(answer), error) {
            (Some(Answered::Committed(command)), _) => {
                self.counts.add_receipt(&command, &receipt, response.repeated);
            }
            (Some(Answered::Refused(command)), Some(error)) => self.counts.add_refusal(&command, self.file, &error),
            (_, error) => {
                self.last_error = error.as_ref().map(described).unwrap_or_default();
                // A refusal of an earlier run is progress: the next request id of its row is tried.
                if answer != CommandAnswer::RefusedBefore {
                    return Ok(());
                }
            }
        }
        self.answered_at = Instant::now();
        self.is_disconnected = false;
        self.backoff.reset();
        Ok(())
    }

    /// After a stream broke: waits, and then queues all unanswered commands to be sent again.
    async fn resend_after(&mut self, error: &CallError) -> Result<(), SendError> {
        self.last_error = described(error);
        if !self.is_disconnected {
            self.is_disconnected = true;
            let left = self.timeout.saturating_sub(self.answered_at.elapsed());
            self.progress.print(&format!(
                "connection lost ({}); retrying for up to {} s (--timeout)",
                self.last_error,
                left.as_secs()
            ));
        }
        self.pause().await?;
        self.in_flight.resend();
        Ok(())
    }

    /// Waits before a retry, longer each time until a command is committed or refused.
    async fn pause(&mut self) -> Result<(), SendError> {
        if self.answered_at.elapsed() >= self.timeout {
            return Err(self.timed_out());
        }
        pause(self.backoff.next_delay()).await;
        Ok(())
    }

    async fn until_timeout<T>(&self, future: impl Future<Output = T>) -> Result<T, SendError> {
        let deadline = self.answered_at + self.timeout;
        tokio::time::timeout_at(deadline, future).await.map_err(|_| self.timed_out())
    }

    fn timed_out(&self) -> SendError {
        SendError::Timeout { timeout_seconds: self.timeout.as_secs(), last_error: self.last_error.clone() }
    }
}

fn error_answer(status: &rpc::Status, repeated: bool) -> (CommandAnswer, Receipt, Option<CallError>) {
    let error = CallError::from(status);
    let answer = match (error.is_retryable(), repeated) {
        (true, _) => CommandAnswer::Retryable,
        (false, true) => CommandAnswer::RefusedBefore,
        (false, false) => CommandAnswer::Refused,
    };
    (answer, Receipt::default(), Some(error))
}

fn described(error: &CallError) -> String {
    match error.message.as_str() {
        "" => error.reason.clone(),
        message => format!("{}: {message}", error.reason),
    }
}

#[cfg(test)]
mod tests;
