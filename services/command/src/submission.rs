//! Commands on their way to the sequencer, and their results.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use diptych_kernel::{EventMetadata, Fingerprint, Receipt, RequestId, StreamId, Version, domain::Domain};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};

use crate::CommandError;

/// A command as a caller submits it.
#[derive(Clone, Debug)]
pub struct Submission<D: Domain> {
    /// The identity of the command. The same id with the same content takes effect once.
    pub request_id: RequestId,
    /// The hash of the content: everything that makes two commands the same, including the expected version.
    pub fingerprint: Fingerprint,
    /// The version that the command's first stream must have, or `None` for any.
    pub expected_version: Option<Version>,
    /// The command itself.
    pub command: D::Command,
    /// The metadata of the command's events.
    pub metadata: EventMetadata,
}

/// How a command from the queue is executed.
#[derive(Clone, Debug)]
pub(crate) struct QueuedExecution {
    /// Shared by the commands that are executed together.
    pub(crate) order: Arc<ExecutionOrder>,
    /// True if it is to be refused, as it is too old.
    pub(crate) is_expired: bool,
}

/// Keeps the order of commands that are executed together: once one of them has failed and is to be sent again, those
/// after it are not decided any more.
#[derive(Debug, Default)]
pub(crate) struct ExecutionOrder(AtomicBool);

impl ExecutionOrder {
    /// Notes that a command failed.
    pub(crate) fn interrupt(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether a command has failed.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A command that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCommand {
    /// The receipt: position and versions of the command's events.
    pub receipt: Receipt,
    /// True if an earlier submission with the same request id stored it. If the outcome of this submission was unknown
    /// for a while, so that either may have stored it, it counts as stored by this one.
    pub repeated: bool,
}

/// The result of a submission.
pub(crate) type CommandResult<D> = Result<StoredCommand, CommandError<<D as Domain>::Refusal>>;

/// A caller that waits for a command.
pub(crate) struct Caller<D: Domain> {
    /// The hash of the content that it submitted.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) reply: oneshot::Sender<CommandResult<D>>,
    /// Set for a command that may be queued.
    pub(crate) cancellation: Option<Cancellation>,
}

impl<D: Domain> Caller<D> {
    /// Returns whether the command is not to be decided for this caller any more.
    pub(crate) fn has_gone(&self) -> bool {
        self.reply.is_closed() || self.cancellation.as_ref().is_some_and(Cancellation::is_made)
    }
}

/// Cancels a command from the sequencer, as it is being queued: from then on it is executed in the order of the
/// queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    pub(crate) fn make(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_made(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A command in a queue of the sequencer.
pub(crate) struct PendingCommand<D: Domain> {
    pub(crate) submission: Submission<D>,
    /// The streams of the command: at least one, each once.
    pub(crate) streams: Vec<StreamId>,
    /// Usually one. More if the same request id was submitted several times.
    pub(crate) callers: Vec<Caller<D>>,
    pub(crate) queued_at: Instant,
    /// Released when the command leaves the queue. `None` for a single call.
    pub(crate) stream_share: Option<OwnedSemaphorePermit>,
    /// Set if it comes from the queue of commands.
    pub(crate) queued: Option<QueuedExecution>,
}
