//! Execution of a command that may be queued.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use diptych_kernel::{
    Receipt, RequestId,
    domain::Domain,
    ports::{Offset, QueuedCommand},
};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::oneshot;

use super::{Admission, Executed, Queueable, QueuedReceipt, Queueing, waiting::QueueResult};
use crate::{CommandError, CommandFuture, CommandHandle, Submission, submission::Cancellation};

/// The result of a command under way, once it is stored, refused or queued. Dropping it before the command is decided
/// or queued cancels the command.
#[must_use = "dropping it cancels the command"]
pub struct Execution<D: Domain>(Way<D>);

enum Way<D: Domain> {
    /// To the sequencer.
    Execute(CommandFuture<D>),
    /// To the queue, or to whichever of both has it first.
    Queue(BoxFuture<'static, ExecutionResult<D>>),
    /// It is in the queue already.
    Queued(Offset),
}

type ExecutionResult<D> = Result<Executed<<D as Domain>::Refusal>, CommandError<<D as Domain>::Refusal>>;

/// A command that may be queued. Dropping it cancels the command in the writer of the queue.
struct Waiting<D: Domain> {
    queueing: Arc<Queueing<D>>,
    number: u64,
    result: oneshot::Receiver<QueueResult<D>>,
}

impl<D: Domain> Waiting<D> {
    async fn result(&mut self) -> QueueResult<D> {
        // The writer ends without an answer only when the process stops: then nothing is queued.
        (&mut self.result).await.unwrap_or(Err(CommandError::ShuttingDown))
    }
}

impl<D: Domain> Drop for Waiting<D> {
    fn drop(&mut self) {
        self.queueing.waiting.remove(self.number);
    }
}

impl<D: Domain> Execution<D> {
    fn new(result: CommandFuture<D>, waiting: Option<Waiting<D>>) -> Self {
        Self(match waiting {
            None => Way::Execute(result),
            Some(waiting) => Way::Queue(execute_or_queue(result, waiting).boxed()),
        })
    }
}

impl<D: Domain> Future for Execution<D> {
    type Output = ExecutionResult<D>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Way::Execute(result) => Pin::new(result).poll(cx).map(|stored| stored.map(Executed::Stored)),
            Way::Queue(result) => result.as_mut().poll(cx),
            Way::Queued(offset) => Poll::Ready(Ok(Executed::Queued(QueuedReceipt { offset: *offset, expected: None }))),
        }
    }
}

/// Returns whether a command that failed so may be queued.
fn may_be_queued_after<R>(failure: &CommandError<R>) -> bool {
    matches!(failure, CommandError::Unavailable | CommandError::OutcomeUnknown | CommandError::StreamQueued { .. })
}

/// The result of the sequencer, or of the queue if the write database does not answer.
async fn execute_or_queue<D: Domain>(mut result: CommandFuture<D>, mut waiting: Waiting<D>) -> ExecutionResult<D> {
    let failed = tokio::select! {
        biased;
        stored = &mut result => match stored {
            Err(failure) if may_be_queued_after(&failure) => failure,
            stored => return stored.map(Executed::Stored),
        },
        queued = waiting.result() => match queued {
            Ok(queued) => return Ok(Executed::Queued(queued)),
            // The write database may be back before its time is over.
            Err(_not_queued) => return result.await.map(Executed::Stored),
        },
    };
    waiting.queueing.waiting.make_due(waiting.number);
    waiting.result().await.map(Executed::Queued).map_err(|_not_queued| failed)
}

impl<D: Domain> fmt::Debug for Execution<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution").finish_non_exhaustive()
    }
}

/// What is known of a command by its request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptState {
    /// It is committed.
    Committed(Receipt),
    /// It is queued, at this offset, and has no outcome yet.
    Queued(Offset),
    /// It was neither committed nor refused, and this process does not know it to be queued.
    Unknown,
}

impl<D: Domain> CommandHandle<D> {
    /// Executes a command; or queues it, if it may be and the write database does not answer or its streams have queued
    /// commands.
    ///
    /// # Errors
    /// As [`CommandHandle::try_submit`], and [`CommandError::StreamQueued`] for a command that may not be queued.
    pub fn try_execute(
        &self,
        submission: Submission<D>,
        queueable: Option<Queueable>,
    ) -> Result<Execution<D>, CommandError<D::Refusal>> {
        match self.admit(&submission, queueable)? {
            Admitted::Elsewhere(execution) => Ok(execution),
            Admitted::Here(queued) => {
                let cancellation = Cancellation::default();
                let result = self.try_submit_cancellable(submission, queued.is_some().then(|| cancellation.clone()))?;
                Ok(Execution::new(result, self.wait(queued, false, cancellation)))
            }
        }
    }

    /// As [`CommandHandle::try_execute`], and waits for room in the queue of the sequencer like
    /// [`CommandHandle::submit`].
    ///
    /// # Errors
    /// As [`CommandHandle::try_execute`], but never [`CommandError::Overloaded`].
    pub async fn execute(
        &self,
        submission: Submission<D>,
        queueable: Option<Queueable>,
    ) -> Result<Execution<D>, CommandError<D::Refusal>> {
        match self.admit(&submission, queueable)? {
            Admitted::Elsewhere(execution) => Ok(execution),
            Admitted::Here(queued) => {
                let cancellation = Cancellation::default();
                let submitted = self.submit_cancellable(submission, queued.is_some().then(|| cancellation.clone()));
                let waiting = self.wait(queued, false, cancellation);
                Ok(Execution::new(submitted.await?, waiting))
            }
        }
    }

    /// Waits until this process has read the queue of commands up to an offset, that of an earlier command of the
    /// caller: a command that is executed after this does not overtake it.
    pub async fn wait_until_queue_read(&self, offset: Offset) {
        if let Some(queueing) = &self.queueing {
            queueing.index.wait_until_read(offset).await;
        }
    }

    /// What is known of a command. A command that is queued and stored counts as stored.
    ///
    /// # Errors
    /// As [`CommandHandle::receipt`]; but a queued command is known while the store does not answer.
    pub async fn receipt_state(&self, request_id: RequestId) -> Result<ReceiptState, CommandError<D::Refusal>> {
        // Looked at first: it may get its outcome meanwhile.
        let queued = self.queueing.as_ref().and_then(|queueing| queueing.index.request(request_id));
        match (self.receipt(request_id).await, queued) {
            (Ok(Some(receipt)), _) => Ok(ReceiptState::Committed(receipt)),
            (Ok(None) | Err(CommandError::Unavailable), Some(queued)) => Ok(ReceiptState::Queued(queued.offset)),
            (Ok(None), None) => Ok(ReceiptState::Unknown),
            (Err(error), _) => Err(error),
        }
    }

    fn admit(
        &self,
        submission: &Submission<D>,
        queueable: Option<Queueable>,
    ) -> Result<Admitted<D>, CommandError<D::Refusal>> {
        let Some(queueing) = &self.queueing else { return Ok(Admitted::Here(None)) };
        let streams = D::streams(&submission.command);
        let admission = queueing.admit(submission, &streams, queueable.is_some())?;
        let queued = queueable.map(|queueable| queueing.command(submission, streams, queueable));
        Ok(match admission {
            Admission::Execute => Admitted::Here(queued),
            Admission::Queued(queued) => Admitted::Elsewhere(Execution(Way::Queued(queued.offset))),
            Admission::Queue => match self.wait(queued, true, Cancellation::default()) {
                Some(mut waiting) => {
                    let queued = async move { waiting.result().await.map(Executed::Queued) };
                    Admitted::Elsewhere(Execution(Way::Queue(queued.boxed())))
                }
                None => Admitted::Here(None),
            },
        })
    }

    fn wait(&self, command: Option<QueuedCommand>, is_due: bool, cancellation: Cancellation) -> Option<Waiting<D>> {
        let (queueing, command) = (Arc::clone(self.queueing.as_ref()?), command?);
        let (number, result) = queueing.waiting.add(command, is_due, cancellation);
        if !is_due && queueing.breaker.is_open() {
            // It opened meanwhile, and what waited was taken before this.
            queueing.waiting.make_due(number);
        }
        Some(Waiting { queueing, number, result })
    }
}

/// Where a command goes.
enum Admitted<D: Domain> {
    /// To the sequencer; with what is queued if the write database does not answer.
    Here(Option<QueuedCommand>),
    /// To the queue, or it is there.
    Elsewhere(Execution<D>),
}
