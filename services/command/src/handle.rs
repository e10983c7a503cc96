//! What the faces hold: a way into the queue, and the answer to come.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use diptych_kernel::{
    EventMetadata, Fingerprint, Receipt, RequestId, StreamId, Version,
    domain::{Domain, STREAMS_PER_COMMAND_MAX},
    ports::EventStore,
};
use diptych_runtime::{Shutdown, Tasks};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tracing::error;

use crate::{
    CommandError, SequencerConfig,
    lookup::{self, Lookup, LookupFailure},
    metrics::{Ending, Metrics},
    sequencer::{Sequencer, Waiting},
};

/// A command as it is handed in.
#[derive(Clone, Debug)]
pub struct Submission<D: Domain> {
    /// Names the command. The same id with the same content takes effect once.
    pub request_id: RequestId,
    /// The content: everything that makes two commands the same, the expected version included.
    pub fingerprint: Fingerprint,
    /// The version that the command's first stream must have, or `None` for any.
    pub expected_version: Option<Version>,
    /// What is asked for.
    pub command: D::Command,
    /// What travels with its events.
    pub metadata: EventMetadata,
}

/// A command that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The proof.
    pub receipt: Receipt,
    /// Whether an earlier submission with the same request id had stored it already. Where this one was in doubt for a while, so that
    /// either may have stored it, it counts as this one.
    pub repeated: bool,
}

/// A result that may be an error of a command.
type CommandResult<D, T> = Result<T, CommandError<<D as Domain>::Refusal>>;

/// What a submission ends with.
pub(crate) type Answer<D> = CommandResult<D, Done>;

/// Starts the sequencer and the task that looks up receipts. They end when shutdown begins, after answering what is queued,
/// and when every handle is gone. Install the recorder of metrics before.
pub fn start<D: Domain, S: EventStore>(store: Arc<S>, config: SequencerConfig, tasks: &Tasks) -> CommandHandle<D> {
    let config = config.within_range();
    let shutdown = tasks.shutdown();
    let metrics = Arc::new(Metrics::new());
    let (queue, waiting) = mpsc::channel(config.queue_commands_max);
    let (lookups, asked) = mpsc::channel(lookup::LOOKUPS_WAITING_MAX);

    tasks.spawn("receipt lookup", lookup::run::<D, S>(store.clone(), asked, config.commit_timeout, shutdown.clone()));
    let sequencer = Sequencer::<D, S>::new(store, config, waiting, shutdown.clone(), metrics.clone());
    tasks.spawn("sequencer", sequencer.run());
    CommandHandle { queue, lookups, shutdown, metrics }
}

/// The way to a sequencer, whatever store it writes to. Cheap to clone.
pub struct CommandHandle<D: Domain> {
    queue: mpsc::Sender<Waiting<D>>,
    lookups: mpsc::Sender<Lookup>,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
}

impl<D: Domain> CommandHandle<D> {
    /// Puts a command into the queue. Commands are decided in the order in which they were put there.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] where the queue is full, [`CommandError::ShuttingDown`] where the process stops, and
    /// [`CommandError::Internal`] where the domain names no stream, too many, or one twice.
    pub fn submit(&self, submission: Submission<D>) -> Result<Pending<D>, CommandError<D::Refusal>> {
        self.check_open()?;
        let (waiting, pending) = self.prepare(submission)?;
        match self.queue.try_send(waiting) {
            Ok(()) => Ok(pending),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(self.not_taken(Ending::Overloaded, CommandError::Overloaded))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.stopping()),
        }
    }

    /// The same, but waits until there is room: backpressure for a stream of commands. Dropping the future takes nothing.
    ///
    /// # Errors
    /// As [`CommandHandle::submit`], but never [`CommandError::Overloaded`].
    pub async fn submit_when_room(&self, submission: Submission<D>) -> Result<Pending<D>, CommandError<D::Refusal>> {
        self.check_open()?;
        let (waiting, pending) = self.prepare(submission)?;
        tokio::select! {
            room = self.queue.reserve() => match room {
                Ok(room) => {
                    room.send(waiting);
                    Ok(pending)
                }
                Err(_closed) => Err(self.stopping()),
            },
            () = self.shutdown.begun() => Err(self.stopping()),
        }
    }

    /// The receipt of a command that is stored, or `None` where the store has no such request at some moment after the call. Does not
    /// wait behind commands.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and [`CommandError::Internal`] where the store does not answer, [`CommandError::Overloaded`] and
    /// [`CommandError::ShuttingDown`] as for commands.
    pub async fn receipt(&self, request_id: RequestId) -> Result<Option<Receipt>, CommandError<D::Refusal>> {
        let (reply, answer) = oneshot::channel();
        match self.lookups.try_send(Lookup { request_id, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(CommandError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(CommandError::ShuttingDown),
        }
        match answer.await {
            Ok(Ok(receipt)) => Ok(receipt),
            Ok(Err(LookupFailure::Unavailable)) => Err(CommandError::Unavailable),
            Ok(Err(LookupFailure::Internal)) => Err(CommandError::Internal),
            Err(_ended) => Err(CommandError::ShuttingDown),
        }
    }

    /// Done here and not in the sequencer: there is one sequencer, and there are many callers.
    fn prepare(&self, submission: Submission<D>) -> CommandResult<D, (Waiting<D>, Pending<D>)> {
        let streams = D::streams(&submission.command);
        if !is_valid(&streams) {
            error!(request_id = %submission.request_id, ?streams, "the domain names streams that no command may have");
            return Err(self.not_taken(Ending::Internal, CommandError::Internal));
        }
        let (reply, answer) = oneshot::channel();
        Ok((Waiting { submission, streams, reply, queued_at: Instant::now() }, Pending { answer }))
    }

    fn check_open(&self) -> Result<(), CommandError<D::Refusal>> {
        if self.shutdown.has_begun() { Err(self.stopping()) } else { Ok(()) }
    }

    fn stopping(&self) -> CommandError<D::Refusal> {
        self.not_taken(Ending::ShuttingDown, CommandError::ShuttingDown)
    }

    fn not_taken(&self, ending: Ending, error: CommandError<D::Refusal>) -> CommandError<D::Refusal> {
        self.metrics.ended(ending);
        error
    }
}

impl<D: Domain> Clone for CommandHandle<D> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            lookups: self.lookups.clone(),
            shutdown: self.shutdown.clone(),
            metrics: self.metrics.clone(),
        }
    }
}

impl<D: Domain> fmt::Debug for CommandHandle<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandHandle").field("room", &self.queue.capacity()).finish_non_exhaustive()
    }
}

fn is_valid(streams: &[StreamId]) -> bool {
    let distinct = streams.iter().enumerate().all(|(i, stream)| !streams.iter().take(i).any(|other| other == stream));
    (1..=STREAMS_PER_COMMAND_MAX).contains(&streams.len()) && distinct
}

/// The answer to come. Dropping it before the command is decided takes the command back; after that it changes nothing.
#[must_use = "a command whose answer nobody waits for is not decided"]
pub struct Pending<D: Domain> {
    answer: oneshot::Receiver<Answer<D>>,
}

impl<D: Domain> Future for Pending<D> {
    type Output = Result<Done, CommandError<D::Refusal>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The sequencer answers everything that it takes. Where it died instead, nobody knows what it had stored.
        Pin::new(&mut self.answer).poll(cx).map(|answer| answer.unwrap_or(Err(CommandError::OutcomeUnknown)))
    }
}

impl<D: Domain> fmt::Debug for Pending<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
