//! Sending the commands of a file over one stream, and over another one when that breaks.

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
    progress::Progress,
    steps::{Step, Steps},
    survey::Survey,
    tally::Tally,
    window::{Settled, Verdict, Window},
};
use crate::client::{Connection, call_error::CallError};

/// Answers that have arrived together are taken together, so that their successors leave together.
const ANSWERS_TOGETHER_MAX: usize = 128;
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What opens streams of commands: the server, or a test.
pub(crate) trait CommandStreams {
    /// The answers, one per command, in order.
    type Answers: Stream<Item = Result<ExecuteCommandsResponse, Status>> + Unpin;

    /// Opens a stream that sends what comes out of `commands`.
    async fn open(&mut self, commands: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status>;
}

impl CommandStreams for CommandServiceClient<Connection> {
    type Answers = tonic::Streaming<ExecuteCommandsResponse>;

    async fn open(&mut self, commands: mpsc::Receiver<ExecuteCommandsRequest>) -> Result<Self::Answers, Status> {
        Ok(self.execute_commands(ReceiverStream::new(commands)).await?.into_inner())
    }
}

/// Why sending stopped before the end of the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The server was away, or shed the commands, for too long.
    #[error(
        "nothing went on for {patience_seconds} s ({last}). What was accepted stays; run the same import again to go on from there"
    )]
    OutOfPatience {
        /// How long that is.
        patience_seconds: u64,
        /// What was heard last.
        last: String,
    },
    /// The server does not take commands.
    #[error("the server does not take commands: {reason}: {message}")]
    Rejected {
        /// Its reason.
        reason: String,
        /// What it says.
        message: String,
    },
    /// The answers do not fit the commands.
    #[error(
        "the server answered {got:?} where the answer to {wanted:?} was next; its version may not fit this program"
    )]
    OutOfOrder {
        /// The request id of the answer.
        got: String,
        /// The request id of the command.
        wanted: String,
    },
    /// The file cannot be read any more.
    #[error("{0:#}")]
    File(anyhow::Error),
}

/// Sends all steps, each until it has a receipt or is refused.
///
/// # Errors
/// See [`SendError`]. What was counted until then stays in the tally.
pub(crate) async fn send_all<S: CommandStreams>(
    streams: &mut S,
    steps: Steps<'_>,
    survey: &Survey,
    options: SendOptions<'_>,
    tally: &mut Tally,
) -> Result<(), SendError> {
    let mut sending = Sending {
        steps,
        survey,
        window: Window::new(options.window),
        backoff: Backoff::new(PAUSE_MIN, PAUSE_MAX),
        patience: options.patience,
        answered_at: Instant::now(),
        last_problem: "nothing was heard".to_owned(),
        is_cut_off: false,
        progress: options.progress,
        tally,
    };
    loop {
        match sending.over_one_stream(streams).await {
            Ok(()) => return Ok(()),
            Err(Ended::Lost(failure)) if failure.is_final() => {
                return Err(SendError::Rejected { reason: failure.reason, message: failure.message });
            }
            Err(Ended::Lost(failure)) => sending.lost(&failure).await?,
            Err(Ended::Failed(error)) => return Err(error),
        }
    }
}

/// How commands are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendOptions<'a> {
    /// The most commands under way.
    pub(crate) window: usize,
    /// How long to go on while nothing is settled.
    pub(crate) patience: Duration,
    /// Who is told how far it is.
    pub(crate) progress: &'a Progress,
}

/// Why a stream came to its end before the file.
enum Ended {
    Lost(CallError),
    Failed(SendError),
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        Self::Lost(CallError::from(&status))
    }
}

impl From<SendError> for Ended {
    fn from(error: SendError) -> Self {
        Self::Failed(error)
    }
}

struct Sending<'a> {
    steps: Steps<'a>,
    survey: &'a Survey,
    window: Window,
    backoff: Backoff,
    patience: Duration,
    /// When a command was last settled for good.
    answered_at: Instant,
    last_problem: String,
    /// Whether nothing was settled since the connection was lost: one outage is told once.
    is_cut_off: bool,
    progress: &'a Progress,
    tally: &'a mut Tally,
}

impl Sending<'_> {
    /// Sends over one stream until everything is answered or the stream ends.
    async fn over_one_stream<S: CommandStreams>(&mut self, streams: &mut S) -> Result<(), Ended> {
        // With room for the whole window, sending never waits: only answers are waited for.
        let (commands, receiver) = mpsc::channel(self.window.limit());
        self.fill(&commands)?;
        if self.window.is_empty() {
            return Ok(());
        }
        let answers = self.in_time(streams.open(receiver)).await??;
        let mut answers = answers.ready_chunks(ANSWERS_TOGETHER_MAX);
        loop {
            let Some(together) = self.in_time(answers.next()).await? else {
                return Err(Status::unavailable("the server ended the stream").into());
            };
            for answer in together {
                self.take(answer?)?;
            }
            self.progress.show(self.tally);
            if self.window.is_drained() {
                self.pause().await?;
                self.window.resume();
            }
            self.fill(&commands)?;
            if self.window.is_empty() {
                return Ok(());
            }
        }
    }

    /// Hands over as many commands as may be under way.
    fn fill(&mut self, commands: &mpsc::Sender<ExecuteCommandsRequest>) -> Result<(), Ended> {
        let Self { window, steps, .. } = self;
        while let Some(step) = window.next(|| steps.next().transpose()).map_err(SendError::File)? {
            if commands.try_send(step.command.clone()).is_err() {
                return Err(Status::unavailable("the connection was lost").into());
            }
        }
        Ok(())
    }

    fn take(&mut self, answer: ExecuteCommandsResponse) -> Result<(), SendError> {
        let wanted = self.window.oldest().map_or("", Step::request_id);
        if wanted != answer.request_id || wanted.is_empty() {
            return Err(SendError::OutOfOrder { got: answer.request_id, wanted: wanted.to_owned() });
        }
        let (verdict, receipt, failure) = match answer.result {
            Some(execute_commands_response::Result::Receipt(receipt)) => (Verdict::Done, receipt, None),
            Some(execute_commands_response::Result::Error(status)) => not_done(&status),
            None => not_done(&rpc::Status { code: i32::from(Code::Unknown), ..rpc::Status::default() }),
        };
        let settled = self.window.settle(verdict);
        match (settled, failure) {
            (Some(Settled::Done(step)), _) => self.tally.done(&step, &receipt, answer.repeated),
            (Some(Settled::Refused(step)), Some(failure)) => self.tally.refused(&step, self.survey, &failure),
            (_, failure) => {
                self.last_problem = failure.as_ref().map(described).unwrap_or_default();
                return Ok(());
            }
        }
        self.answered_at = Instant::now();
        self.is_cut_off = false;
        self.backoff.reset();
        Ok(())
    }

    /// After a stream broke: waits a little, and then everything unanswered goes again.
    async fn lost(&mut self, failure: &CallError) -> Result<(), SendError> {
        self.last_problem = described(failure);
        if !self.is_cut_off {
            self.is_cut_off = true;
            self.progress.say(&format!("connection lost ({}); trying again", self.last_problem));
        }
        self.pause().await?;
        self.window.resume();
        Ok(())
    }

    /// Waits a little, longer each time until something is settled.
    async fn pause(&mut self) -> Result<(), SendError> {
        if self.answered_at.elapsed() >= self.patience {
            return Err(self.out_of_patience());
        }
        pause(self.backoff.next_delay()).await;
        Ok(())
    }

    async fn in_time<T>(&self, future: impl Future<Output = T>) -> Result<T, SendError> {
        let deadline = self.answered_at + self.patience;
        tokio::time::timeout_at(deadline, future).await.map_err(|_| self.out_of_patience())
    }

    fn out_of_patience(&self) -> SendError {
        SendError::OutOfPatience { patience_seconds: self.patience.as_secs(), last: self.last_problem.clone() }
    }
}

fn not_done(status: &rpc::Status) -> (Verdict, Receipt, Option<CallError>) {
    let failure = CallError::from(status);
    let verdict = if failure.is_retryable() { Verdict::Again } else { Verdict::Refused };
    (verdict, Receipt::default(), Some(failure))
}

fn described(failure: &CallError) -> String {
    match failure.message.as_str() {
        "" => failure.reason.clone(),
        message => format!("{}: {message}", failure.reason),
    }
}

#[cfg(test)]
mod tests;
