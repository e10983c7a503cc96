//! Commands by stream.

use std::{cell::RefCell, collections::VecDeque};

use diptych_proto::{
    diptych::v1::Receipt,
    ledger::command::v1::{
        ExecuteCommandsRequest, command_service_client::CommandServiceClient, execute_commands_response,
    },
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
    concurrent_callers::{PAUSE_MAX, PAUSE_MIN},
    connection_pool::ConnectionPool,
    measurement::Measurement,
    pacer::{NextCall, Pacer},
    workload::{Workload, failure_reason},
};
use crate::client::{Connection, call_error::CallError};

/// The largest number of answers handled together. Answers that arrive together are handled together, so that the next
/// commands are sent together.
const ANSWERS_BATCH_MAX: usize = 256;

/// Sends commands over one stream per connection until the pacer ends, with `in_flight` unanswered commands over all
/// streams, and passes on every receipt. A stream that breaks is replaced by a new one; its unanswered commands count
/// as failed.
pub(crate) async fn run(
    pool: &ConnectionPool,
    workload: &Workload,
    in_flight: u64,
    pacer: &Pacer,
    on_receipt: &dyn Fn(Receipt),
) -> anyhow::Result<Measurement> {
    let measurement = RefCell::new(Measurement::new()?);
    let started_at = Instant::now();
    let in_flight_max = usize::try_from(in_flight)?.div_ceil(pool.all().len().max(1));
    let streams = pool.all().iter().map(|connections| {
        let mut stream = CommandStream {
            workload,
            pacer,
            measurement: &measurement,
            on_receipt,
            in_flight_max,
            sent_at: VecDeque::new(),
            answers_count: 0,
        };
        async move {
            let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
            while let Err(status) = stream.run(&connections.commands).await {
                if stream.answers_count > 0 {
                    backoff.reset();
                }
                stream.fail_unanswered(&status);
                pause(backoff.next_delay()).await;
            }
        }
    });
    join_all(streams).await;
    let mut measurement = measurement.into_inner();
    measurement.add_elapsed(started_at.elapsed());
    Ok(measurement)
}

/// The commands of one connection.
struct CommandStream<'a> {
    workload: &'a Workload,
    pacer: &'a Pacer,
    measurement: &'a RefCell<Measurement>,
    on_receipt: &'a dyn Fn(Receipt),
    in_flight_max: usize,
    /// Send times of the unanswered commands, oldest first: answers arrive in the order of the commands.
    sent_at: VecDeque<Instant>,
    /// Answers of the current gRPC stream.
    answers_count: u64,
}

impl CommandStream<'_> {
    /// Opens a gRPC stream and sends commands over it until the pacer ends and all are answered.
    async fn run(&mut self, connection: &Connection) -> Result<(), Status> {
        let (commands, receiver) = mpsc::channel(self.in_flight_max);
        self.answers_count = 0;
        if self.send_due(&commands).is_none() && self.sent_at.is_empty() {
            return Ok(());
        }
        let call =
            CommandServiceClient::new(connection.clone()).execute_commands(ReceiverStream::new(receiver)).await?;
        let mut answers = call.into_inner().ready_chunks(ANSWERS_BATCH_MAX);
        loop {
            let due_at = self.send_due(&commands);
            if self.sent_at.is_empty() && due_at.is_none() {
                return Ok(());
            }
            let batch = tokio::select! {
                batch = answers.next() => batch,
                () = sleep_until(due_at.unwrap_or_else(Instant::now)), if due_at.is_some() => continue,
            };
            let batch = batch.ok_or_else(|| Status::unavailable("the server ended the stream"))?;
            let now = Instant::now();
            for answer in batch {
                self.record_answer(answer?.result, now);
            }
        }
    }

    /// Sends the commands that are due, up to the limit of unanswered ones. Returns when the next one is due if the
    /// limit allows it.
    fn send_due(&mut self, commands: &mpsc::Sender<ExecuteCommandsRequest>) -> Option<Instant> {
        let now = Instant::now();
        while self.sent_at.len() < self.in_flight_max {
            let call = match self.pacer.try_next() {
                NextCall::Now(call) => call,
                NextCall::At(due_at) => return Some(due_at),
                NextCall::Finished => return None,
            };
            let command = self.workload.command(call);
            // The channel has room for all unanswered commands. It is closed only if the call has ended, and then the
            // call's error follows.
            let _ = commands.try_send(ExecuteCommandsRequest { command: Some(command) });
            self.sent_at.push_back(now);
        }
        None
    }

    fn record_answer(&mut self, result: Option<execute_commands_response::Result>, now: Instant) {
        self.answers_count += 1;
        let sent_at = self.sent_at.pop_front().unwrap_or(now);
        let mut measurement = self.measurement.borrow_mut();
        match result {
            Some(execute_commands_response::Result::Receipt(receipt)) => {
                measurement.record_success(now - sent_at);
                (self.on_receipt)(receipt);
            }
            Some(execute_commands_response::Result::Error(status)) => {
                measurement.record_failure(CallError::from(&status).reason);
            }
            None => measurement.record_failure("EMPTY_ANSWER"),
        }
    }

    /// Records the unanswered commands of a broken stream as failed.
    fn fail_unanswered(&mut self, status: &Status) {
        for _ in self.sent_at.drain(..) {
            self.measurement.borrow_mut().record_failure(failure_reason(status));
        }
    }
}
