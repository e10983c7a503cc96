//! Queueing: commands that allow it wait in a durable queue while the write database does not answer.
//!
//! ```text
//!   execute -> sequencer -> stored                        while the write database answers
//!      |          |
//!      |          +-- no answer --+
//!      +-- breaker open, or ------+--> queue -> [ drain ] -> sequencer -> stored, or refused
//!          a stream is queued
//! ```
//!
//! Promises:
//!
//! - **Once.** A queued command is executed by its request id, so it takes effect once, whatever the client repeats
//!   meanwhile, and however often the drain starts again.
//! - **Order.** The queue is one sequence, and the drain executes it in that order, so commands that share a stream run
//!   in the order in which they were queued. A stream with queued commands takes no other command past them: in a
//!   process that knows of them, one that may be queued is queued behind them, and another one is refused until they
//!   have run. So are those that were waiting for the write database before. Only an append that was under way when the
//!   database ceased to answer may yet succeed, and has its place before all.
//! - **Several processes.** A process knows what it queued itself at once, and what others queued within milliseconds.
//!   Until then, and while one finds the write database working and the other does not, a command at the former can
//!   overtake one that the latter has queued. A caller that must exclude it sends the queue token of the earlier
//!   command with the later one: the process then waits until it has read the queue up to there.
//! - **Expectation.** The answer says which outcome the command will have, if this process holds the states of its
//!   streams and no other process has queued anything on them. It is no promise: a command that another process stores
//!   meanwhile can change it.

mod drain;
mod execution;
mod expectation;
mod index;
mod reader;
mod waiting;
mod writer;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    Clock, StreamId,
    domain::Domain,
    ports::{CommandQueue, CommandQueueState, Offset, QueueEnds, QueuedCommand},
};
use diptych_runtime::Tasks;
use tracing::error;

pub(crate) use self::index::{QueueIndex, StreamQueue};
pub use self::{
    execution::{Execution, ReceiptState},
    expectation::ExpectedOutcome,
};
use self::{index::QueuedRequest, waiting::WaitingCommands};
use crate::{CommandError, CommandHandle, StoredCommand, Submission, breaker::Breaker, sequencer::SharedStates};

/// Registers units and help texts of the metrics of queueing.
pub(crate) fn describe_metrics() {
    crate::breaker::describe_metrics();
    index::describe_metrics();
    drain::describe_metrics();
}

/// Settings of queueing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueingConfig {
    /// The instance name of this process, with which it takes the lease of the queue.
    pub instance: String,
    /// Time without a successful call after which the write database counts as down, so that commands are queued.
    pub open_after: Duration,
    /// Largest number of commands without an outcome in the queue; further ones are rejected as overloaded. A process
    /// needs some 100 bytes of memory for each.
    pub commands_max: usize,
    /// Largest size of the commands without an outcome in the queue, in bytes; further ones are rejected as overloaded.
    pub bytes_max: usize,
    /// Time after which a queued command expires where its caller names none.
    pub expiry_default: Duration,
    /// Longest time after which a queued command may expire. It must be shorter than the retention of the queue.
    pub expiry_max: Duration,
    /// Largest number of queued commands that are executed each second once the write database is back, so that its
    /// recovery is not the next overload.
    pub drain_commands_per_second_max: u32,
    /// Longest time that an append to the queue may take.
    pub append_timeout: Duration,
    /// Duration of the lease of the queue, after which another process drains it if the one that does has died.
    pub lease_duration: Duration,
}

impl QueueingConfig {
    /// The default settings of a process of this name.
    #[must_use]
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            instance: instance.into(),
            open_after: Duration::from_secs(1),
            commands_max: 1_000_000,
            bytes_max: 1 << 30,
            expiry_default: Duration::from_secs(60 * 60),
            expiry_max: Duration::from_secs(24 * 60 * 60),
            drain_commands_per_second_max: 10_000,
            append_timeout: Duration::from_secs(5),
            lease_duration: Duration::from_secs(10),
        }
    }
}

/// Permission to queue a command while the write database does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queueable {
    /// The kind of the command, for [`Domain::decode_command`].
    pub command_type: &'static str,
    /// The encoded command, for [`Domain::decode_command`].
    pub payload: Bytes,
    /// Time after which it is not executed any more; the default if the caller names none.
    pub expires_after: Option<Duration>,
}

/// A command that is in the queue. `R` is the domain's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedReceipt<R> {
    /// Its place in the queue.
    pub offset: Offset,
    /// The outcome that it is expected to have; `None` if this process cannot tell.
    pub expected: Option<ExpectedOutcome<R>>,
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executed<R> {
    /// It is stored.
    Stored(StoredCommand),
    /// It is queued, and has its outcome later.
    Queued(QueuedReceipt<R>),
}

/// What the callers of a process and the tasks of queueing share.
pub(crate) struct Queueing<D: Domain> {
    config: QueueingConfig,
    clock: Arc<dyn Clock>,
    breaker: Arc<Breaker>,
    index: Arc<QueueIndex>,
    waiting: WaitingCommands<D>,
}

/// What a new command is to do.
enum Admission {
    /// Go to the sequencer.
    Execute,
    /// Be queued.
    Queue,
    /// It is queued already.
    Queued(QueuedRequest),
}

impl<D: Domain> Queueing<D> {
    /// Starts the tasks of queueing. The first thing that they do is to read the queue, for which the write database
    /// must tell where it has been executed up to.
    pub(crate) fn start<S, Q>(
        (store, queue): (Arc<S>, Arc<Q>),
        (config, clock): (QueueingConfig, Arc<dyn Clock>),
        (breaker, index): (Arc<Breaker>, Arc<QueueIndex>),
        states: (SharedStates<D>, usize),
        tasks: &Tasks,
    ) -> Arc<Self>
    where
        S: CommandQueueState,
        Q: CommandQueue,
    {
        let (states, streams_max) = states;
        let queueing = Arc::new(Self { config, clock, breaker, index, waiting: WaitingCommands::new() });
        let shutdown = tasks.shutdown();
        let writer = writer::run(Arc::clone(&queueing), Arc::clone(&queue), states, streams_max, shutdown.clone());
        tasks.spawn("command queue writer", writer);
        let reader = reader::run(Arc::clone(&queueing), store, queue, shutdown);
        tasks.spawn("command queue reader", reader);
        queueing
    }

    /// Starts executing what is in the queue, through the handle.
    pub(crate) fn start_drain<S, Q>(
        self: &Arc<Self>,
        (store, queue): (Arc<S>, Arc<Q>),
        handle: CommandHandle<D>,
        tasks: &Tasks,
    ) where
        S: CommandQueueState,
        Q: CommandQueue,
    {
        let drain = drain::Drain::new(Arc::clone(self), store, queue, handle, tasks.shutdown());
        tasks.spawn("command queue drain", drain.run());
    }

    /// The offset from which on commands have no outcome: what the write database says, unless the queue ends before.
    /// Then it is another one than that of which the write database knows, and begins with its first record.
    fn undone_from(&self, done_before: Offset, ends: QueueEnds) -> Offset {
        if ends.next >= done_before {
            return done_before;
        }
        let (first, next, expected) = (ends.first.0, ends.next.0, done_before.0);
        error!(first, next, expected, "the queue of commands was made anew or has lost its end: all of it is executed");
        ends.first
    }

    /// The record of a command that may be queued.
    fn command(&self, submission: &Submission<D>, streams: Vec<StreamId>, queueable: Queueable) -> QueuedCommand {
        let expires_after = queueable.expires_after.unwrap_or(self.config.expiry_default).min(self.config.expiry_max);
        let micros = i64::try_from(expires_after.as_micros()).unwrap_or(i64::MAX);
        QueuedCommand {
            request_id: submission.request_id,
            fingerprint: submission.fingerprint,
            expected_version: submission.expected_version,
            streams,
            command_type: queueable.command_type.into(),
            payload: queueable.payload,
            metadata: submission.metadata.clone(),
            queued_by: self.config.instance.as_str().into(),
            expires_at: self.clock.now().plus_micros(micros),
        }
    }

    fn admit(
        &self,
        submission: &Submission<D>,
        streams: &[StreamId],
        may_queue: bool,
    ) -> Result<Admission, CommandError<D::Refusal>> {
        if let Some(queued) = self.index.request(submission.request_id) {
            if !queued.is_same(&submission.fingerprint) {
                return Err(CommandError::RequestIdReused { request_id: submission.request_id });
            }
            return Ok(Admission::Queued(queued));
        }
        let behind = streams.iter().find(|stream| self.index.stream(stream) != StreamQueue::Empty);
        match behind {
            Some(stream_id) if !may_queue => Err(CommandError::StreamQueued { stream_id: stream_id.clone() }),
            Some(_) => Ok(Admission::Queue),
            None if may_queue && self.breaker.is_open() => Ok(Admission::Queue),
            None => Ok(Admission::Execute),
        }
    }
}
