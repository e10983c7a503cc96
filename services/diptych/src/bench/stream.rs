//! Commands by stream.

use std::{cell::RefCell, collections::VecDeque};

use diptych_proto::ledger::command::v1::{
    ExecuteCommandsRequest, command_service_client::CommandServiceClient, execute_commands_request::Command,
    execute_commands_response,
};
use diptych_runtime::{Backoff, pause};
use futures::{StreamExt, future::join_all};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{
    lanes,
    limit::{Limit, Turn},
    measured::Measured,
    prepare::Channels,
    workload::{Workload, reason},
};
use crate::client::{Connection, call_error::CallError};

/// Answers that have arrived together are taken together, so that their successors leave together.
const ANSWERS_TOGETHER_MAX: usize = 256;

/// Sends deposits over one stream per connection until the limit, over a new one where that breaks, with `in_flight` of
/// them unanswered over all streams.
pub(crate) async fn run(
    channels: &Channels,
    workload: &Workload,
    in_flight: u64,
    limit: &Limit,
) -> anyhow::Result<Measured> {
    let measured = RefCell::new(Measured::new()?);
    let started_at = Instant::now();
    let window = usize::try_from(in_flight)?.div_ceil(channels.all().len().max(1));
    let streams = channels.all().iter().map(|link| {
        let mut stream =
            OneStream { workload, limit, measured: &measured, window, sent_at: VecDeque::new(), answers: 0 };
        async move {
            let mut backoff = Backoff::new(lanes::PAUSE_MIN, lanes::PAUSE_MAX);
            while let Err(status) = stream.run(&link.commands).await {
                // Where it got answers it was a good stream, and the next may be one too.
                if stream.broken(&status) {
                    backoff.reset();
                }
                pause(backoff.next_delay()).await;
            }
        }
    });
    join_all(streams).await;
    let mut measured = measured.into_inner();
    measured.lasted(started_at.elapsed());
    Ok(measured)
}

struct OneStream<'a> {
    workload: &'a Workload,
    limit: &'a Limit,
    measured: &'a RefCell<Measured>,
    window: usize,
    /// Of the unanswered commands, oldest first.
    sent_at: VecDeque<Instant>,
    /// How many came over the present stream.
    answers: u64,
}

impl OneStream<'_> {
    async fn run(&mut self, connection: &Connection) -> Result<(), Status> {
        let (commands, receiver) = mpsc::channel(self.window);
        self.answers = 0;
        if self.fill(&commands).is_none() && self.sent_at.is_empty() {
            return Ok(());
        }
        let call =
            CommandServiceClient::new(connection.clone()).execute_commands(ReceiverStream::new(receiver)).await?;
        let mut answers = call.into_inner().ready_chunks(ANSWERS_TOGETHER_MAX);
        loop {
            let due_at = self.fill(&commands);
            if self.sent_at.is_empty() && due_at.is_none() {
                return Ok(());
            }
            let together = tokio::select! {
                together = answers.next() => together,
                () = sleep_until(due_at.unwrap_or_else(Instant::now)), if due_at.is_some() => continue,
            };
            let together = together.ok_or_else(|| Status::unavailable("the server ended the stream"))?;
            let now = Instant::now();
            for answer in together {
                self.take(answer?.result, now);
            }
        }
    }

    /// Sends what is due and may be unanswered. Returns when the next one is due, where there is room for it.
    fn fill(&mut self, commands: &mpsc::Sender<ExecuteCommandsRequest>) -> Option<Instant> {
        let now = Instant::now();
        while self.sent_at.len() < self.window {
            let turn = match self.limit.take() {
                Turn::Now(turn) => turn,
                Turn::At(due_at) => return Some(due_at),
                Turn::Over => return None,
            };
            let deposit = self.workload.deposit(self.workload.account(turn));
            // There is room for the whole window; where the call has ended, its error is on the way.
            let _ = commands.try_send(ExecuteCommandsRequest { command: Some(Command::Deposit(deposit)) });
            self.sent_at.push_back(now);
        }
        None
    }

    fn take(&mut self, result: Option<execute_commands_response::Result>, now: Instant) {
        self.answers += 1;
        let sent_at = self.sent_at.pop_front().unwrap_or(now);
        let mut measured = self.measured.borrow_mut();
        match result {
            Some(execute_commands_response::Result::Receipt(_)) => measured.answered(now - sent_at),
            Some(execute_commands_response::Result::Error(status)) => measured.failed(CallError::from(&status).reason),
            None => measured.failed("EMPTY_ANSWER"),
        }
    }

    /// What was under way when the stream broke has failed. Returns whether there were answers before.
    fn broken(&mut self, status: &Status) -> bool {
        for _ in self.sent_at.drain(..) {
            self.measured.borrow_mut().failed(reason(status));
        }
        self.answers > 0
    }
}
