//! The handle by which callers submit commands to the sequencer, and the future of a command's result.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use diptych_kernel::{
    Clock, Receipt, RequestId, StreamId,
    domain::{Domain, STREAMS_PER_COMMAND_MAX},
    ports::{CommandQueue, CommandQueueState, EventStore, Offset, StoredOutcome, StoredRequest},
};
use diptych_runtime::{Shutdown, Tasks};
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};
use tracing::error;

use crate::{
    CommandError, QueueingConfig, SequencerConfig, StoredCommand, Submission,
    breaker::Breaker,
    metrics::{CommandOutcome, Metrics},
    queueing::{QueueIndex, Queueing},
    receipts::{self, LookupError, ReceiptLookup},
    refusal,
    sequencer::{self, SharedStates, StateCache},
    submission::{Caller, Cancellation, CommandResult, PendingCommand, QueuedExecution},
};

/// Starts the sequencer and the task that looks up receipts. They end when shutdown begins, after answering the queued
/// commands, or when the last handle is dropped. Install the metrics recorder before.
///
/// Without a queue of commands: those that may be queued wait for the write database like the others.
pub fn start<D: Domain, S: EventStore>(store: Arc<S>, config: SequencerConfig, tasks: &Tasks) -> CommandHandle<D> {
    let breaker = Arc::new(Breaker::new(QueueingConfig::new("").open_after));
    let nothing_queued = Arc::new(QueueIndex::new(Offset(0)));
    start_sequencer(store, config, (breaker, nothing_queued), tasks).0
}

/// As [`start`], with a queue for commands that may be queued while the write database does not answer.
pub fn start_with_queue<D: Domain, S: EventStore + CommandQueueState, Q: CommandQueue>(
    (store, queue): (Arc<S>, Arc<Q>),
    (config, queueing_config): (SequencerConfig, QueueingConfig),
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> CommandHandle<D> {
    let breaker = Arc::new(Breaker::new(queueing_config.open_after));
    let streams_max = config.cached_states_max;
    let shared = (breaker, Arc::new(QueueIndex::new(Offset(0))));
    let (mut handle, states) = start_sequencer(Arc::clone(&store), config, shared.clone(), tasks);
    let parts = (Arc::clone(&store), Arc::clone(&queue));
    let queueing = Queueing::start(parts, (queueing_config, clock), shared, (states, streams_max), tasks);
    // The drain executes what it is given, whatever is queued.
    queueing.start_drain((store, queue), handle.clone(), tasks);
    handle.queueing = Some(queueing);
    handle
}

fn start_sequencer<D: Domain, S: EventStore>(
    store: Arc<S>,
    config: SequencerConfig,
    (breaker, queue_index): (Arc<Breaker>, Arc<QueueIndex>),
    tasks: &Tasks,
) -> (CommandHandle<D>, SharedStates<D>) {
    let config = config.clamped();
    let shutdown = tasks.shutdown();
    let metrics = Arc::new(Metrics::new("main"));
    let (queue, pending) = mpsc::channel(config.queue_commands_max);
    let stream_share = Arc::new(Semaphore::new(stream_share(config.queue_commands_max)));
    let (lookups, requested) = mpsc::channel(receipts::LOOKUP_QUEUE_MAX);

    let lookup = receipts::run::<D, S>(store.clone(), requested, config.commit_timeout, shutdown.clone());
    tasks.spawn("receipt lookup", lookup);
    let states = Arc::new(Mutex::new(StateCache::new(config.cached_states_max)));
    let shared = (Arc::clone(&states), breaker, queue_index);
    let (sequencer, contended_lane) = sequencer::new::<D, S>(store, config, pending, &shutdown, &metrics, shared);
    tasks.spawn("sequencer", sequencer.run());
    tasks.spawn("sequencer of contended streams", contended_lane.run());
    (CommandHandle { queue, stream_share, lookups, shutdown, metrics, queueing: None }, states)
}

/// The part of the queue that streams of commands may fill: three quarters, at least one. The rest is for single calls,
/// so that a few streams, which wait for room, do not keep single calls, which do not wait, out of the queue.
fn stream_share(queue_commands_max: usize) -> usize {
    (queue_commands_max - queue_commands_max / 4).max(1)
}

/// A handle to a sequencer, independent of its store. Cheap to clone.
pub struct CommandHandle<D: Domain> {
    queue: mpsc::Sender<PendingCommand<D>>,
    /// One permit for each command that streams may have in the queue.
    stream_share: Arc<Semaphore>,
    lookups: mpsc::Sender<ReceiptLookup>,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    /// `None` without a queue of commands.
    pub(crate) queueing: Option<Arc<Queueing<D>>>,
}

/// A command for the queue, and the future of its result.
type PreparedCommand<D> = (PendingCommand<D>, CommandFuture<D>);

impl<D: Domain> CommandHandle<D> {
    /// Queues a command if the queue has room. Commands on the same stream are decided in the order in which
    /// they were queued.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] if the queue is full, [`CommandError::ShuttingDown`] if the process is stopping,
    /// and [`CommandError::Internal`] if the domain names no stream, too many, or one twice.
    pub fn try_submit(&self, submission: Submission<D>) -> Result<CommandFuture<D>, CommandError<D::Refusal>> {
        self.try_submit_cancellable(submission, None)
    }

    /// As [`CommandHandle::try_submit`], for a command that may be cancelled.
    pub(crate) fn try_submit_cancellable(
        &self,
        submission: Submission<D>,
        cancellation: Option<Cancellation>,
    ) -> Result<CommandFuture<D>, CommandError<D::Refusal>> {
        self.check_open()?;
        let (pending, result) = self.prepare(submission, cancellation)?;
        match self.queue.try_send(pending) {
            Ok(()) => Ok(result),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(self.reject(CommandOutcome::Overloaded, CommandError::Overloaded))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.stopping()),
        }
    }

    /// Queues a command, waiting for room in the part of the queue that streams may fill: backpressure for a stream of
    /// commands. Dropping the future queues nothing.
    ///
    /// # Errors
    /// As [`CommandHandle::try_submit`], but never [`CommandError::Overloaded`].
    pub async fn submit(&self, submission: Submission<D>) -> Result<CommandFuture<D>, CommandError<D::Refusal>> {
        self.submit_cancellable(submission, None).await
    }

    /// As [`CommandHandle::submit`], for a command that may be cancelled.
    pub(crate) async fn submit_cancellable(
        &self,
        submission: Submission<D>,
        cancellation: Option<Cancellation>,
    ) -> Result<CommandFuture<D>, CommandError<D::Refusal>> {
        self.check_open()?;
        let (pending, result) = self.prepare(submission, cancellation)?;
        self.submit_pending(pending).await?;
        Ok(result)
    }

    /// As [`CommandHandle::submit`], for a command from the queue of commands.
    pub(crate) async fn submit_queued(
        &self,
        submission: Submission<D>,
        execution: QueuedExecution,
    ) -> Result<CommandFuture<D>, CommandError<D::Refusal>> {
        self.check_open()?;
        let (pending, result) = self.prepare(submission, None)?;
        self.submit_pending(PendingCommand { queued: Some(execution), ..pending }).await?;
        Ok(result)
    }

    async fn submit_pending(&self, mut pending: PendingCommand<D>) -> Result<(), CommandError<D::Refusal>> {
        let queued = async {
            let share = Arc::clone(&self.stream_share).acquire_owned().await.ok()?;
            let room = self.queue.reserve().await.ok()?;
            pending.stream_share = Some(share);
            room.send(pending);
            Some(())
        };
        tokio::select! {
            queued = queued => queued.ok_or_else(|| self.stopping()),
            () = self.shutdown.begun() => Err(self.stopping()),
        }
    }

    /// The receipt of a committed command, or `None` if the store did not have the request at some moment after the
    /// call. Does not wait behind commands.
    ///
    /// # Errors
    /// [`CommandError::RefusedBefore`] if the command was refused,
    /// [`CommandError::Unavailable`] and [`CommandError::Suspended`] if the store does not answer,
    /// [`CommandError::Overloaded`] and [`CommandError::ShuttingDown`] as for commands.
    pub async fn receipt(&self, request_id: RequestId) -> Result<Option<Receipt>, CommandError<D::Refusal>> {
        let (reply, result) = oneshot::channel();
        match self.lookups.try_send(ReceiptLookup { request_id, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(CommandError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(CommandError::ShuttingDown),
        }
        match result.await {
            Ok(Ok(stored)) => stored.map(receipt_of::<D>).transpose(),
            Ok(Err(LookupError::Unavailable)) => Err(CommandError::Unavailable),
            Ok(Err(LookupError::Suspended)) => Err(CommandError::Suspended),
            Ok(Err(LookupError::Internal)) => Err(CommandError::Internal),
            Err(_ended) => Err(CommandError::ShuttingDown),
        }
    }

    /// Runs in the caller's task, not in the sequencer: there is one sequencer, and there are many callers.
    fn prepare(
        &self,
        submission: Submission<D>,
        cancellation: Option<Cancellation>,
    ) -> Result<PreparedCommand<D>, CommandError<D::Refusal>> {
        let streams = D::streams(&submission.command);
        if !is_valid(&streams) {
            let request_id = submission.request_id;
            error!(%request_id, ?streams, "rejecting a command: its domain names no stream, too many, or one twice");
            return Err(self.reject(CommandOutcome::Internal, CommandError::Internal));
        }
        let (reply, result) = oneshot::channel();
        let callers = vec![Caller { fingerprint: submission.fingerprint, reply, cancellation }];
        let queued_at = Instant::now();
        let pending = PendingCommand { submission, streams, callers, queued_at, stream_share: None, queued: None };
        Ok((pending, CommandFuture { result }))
    }

    fn check_open(&self) -> Result<(), CommandError<D::Refusal>> {
        if self.shutdown.has_begun() { Err(self.stopping()) } else { Ok(()) }
    }

    fn stopping(&self) -> CommandError<D::Refusal> {
        self.reject(CommandOutcome::ShuttingDown, CommandError::ShuttingDown)
    }

    fn reject(&self, outcome: CommandOutcome, error: CommandError<D::Refusal>) -> CommandError<D::Refusal> {
        self.metrics.record_outcome(outcome);
        error
    }
}

fn receipt_of<D: Domain>(stored: StoredRequest) -> Result<Receipt, CommandError<D::Refusal>> {
    match stored.outcome {
        StoredOutcome::Committed(receipt) => Ok(receipt),
        StoredOutcome::Refused(encoded) => Err(refusal::decode::<D>(&encoded).map_or_else(
            |error| {
                error!(request_id = %stored.request_id, %error, "a stored refusal cannot be read");
                CommandError::Internal
            },
            |refused| CommandError::RefusedBefore(Box::new(refused)),
        )),
    }
}

impl<D: Domain> Clone for CommandHandle<D> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            stream_share: Arc::clone(&self.stream_share),
            lookups: self.lookups.clone(),
            shutdown: self.shutdown.clone(),
            metrics: self.metrics.clone(),
            queueing: self.queueing.clone(),
        }
    }
}

impl<D: Domain> fmt::Debug for CommandHandle<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandHandle").field("queue_capacity", &self.queue.capacity()).finish_non_exhaustive()
    }
}

/// Returns whether a command may have these streams.
fn is_valid(streams: &[StreamId]) -> bool {
    let distinct = streams.iter().enumerate().all(|(i, stream)| !streams.iter().take(i).any(|other| other == stream));
    (1..=STREAMS_PER_COMMAND_MAX).contains(&streams.len()) && distinct
}

/// The result of a queued command, once it is there. Dropping it before the command is decided cancels the command;
/// after that, dropping it changes nothing.
#[must_use = "dropping it cancels the command"]
pub struct CommandFuture<D: Domain> {
    result: oneshot::Receiver<CommandResult<D>>,
}

impl<D: Domain> Future for CommandFuture<D> {
    type Output = Result<StoredCommand, CommandError<D::Refusal>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The sequencer answers every command that it takes. If it ended without an answer, it is unknown what it had
        // stored.
        Pin::new(&mut self.result).poll(cx).map(|result| result.unwrap_or(Err(CommandError::OutcomeUnknown)))
    }
}

impl<D: Domain> fmt::Debug for CommandFuture<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandFuture").finish_non_exhaustive()
    }
}
