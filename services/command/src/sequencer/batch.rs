//! The commands of one batch and their callers.

use std::{collections::HashMap, mem, sync::Arc};

use bytes::Bytes;
use diptych_kernel::{
    EventMetadata, Fingerprint, Receipt, RequestId, StreamId, Version,
    domain::Domain,
    ports::{Conflict, StoredOutcome, StoredRequest},
};
use tokio::time::Instant;
use tracing::error;

use super::{
    contended::ContendedStreams,
    states::StateCache,
    working_set::{SlotId, WorkingSet},
};
use crate::{
    CommandError, StoredCommand,
    metrics::{CommandOutcome, Metrics},
    queueing::{QueueIndex, StreamQueue},
    refusal,
    retry_until::RetryError,
    submission::{Caller, Cancellation, CommandResult, PendingCommand, QueuedExecution, Submission},
};

/// A command of the batch.
pub(super) struct BatchEntry<D: Domain> {
    pub(super) request_id: RequestId,
    pub(super) fingerprint: Fingerprint,
    pub(super) expected_version: Option<Version>,
    pub(super) command: D::Command,
    pub(super) metadata: EventMetadata,
    pub(super) slots: Vec<SlotId>,
    /// The encoded refusal, which is not sent yet: it depends on states that may be stale, or on events that are not
    /// stored.
    pub(super) refusal: Option<Bytes>,
    /// Those without a result. A request id that occurs several times in a batch is one command with several callers.
    callers: Vec<Caller<D>>,
    queued_at: Instant,
    /// Set if it comes from the queue of commands.
    pub(super) queued: Option<QueuedExecution>,
    /// True if an append with it ended with an unknown outcome.
    pub(super) in_doubt: bool,
    metrics: Arc<Metrics>,
}

/// The commands of one batch, in the order of their arrival.
pub(super) struct CommandBatch<D: Domain> {
    pub(super) entries: Vec<BatchEntry<D>>,
    pub(super) working_set: WorkingSet<D>,
    /// Number of times in a row that it was decided again because of writes by other processes.
    pub(super) conflicts_in_a_row: usize,
    /// Streams on which its appends have conflicted, to be added to the contended ones.
    pub(super) conflicted: Vec<StreamId>,
    /// The streams that were loaded, and whether other processes had written to each.
    pub(super) loaded: Vec<(StreamId, bool)>,
}

impl<D: Domain> CommandBatch<D> {
    /// Makes a batch of the commands taken from the queue. Commands whose callers have gone are left out.
    pub(super) fn gather(
        taken: &mut Vec<PendingCommand<D>>,
        cache: &mut StateCache<D>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let mut working_set = WorkingSet::new();
        let mut entries: Vec<BatchEntry<D>> = Vec::with_capacity(taken.len());
        let mut by_request: HashMap<RequestId, usize> = HashMap::with_capacity(taken.len());
        for PendingCommand { submission, streams, mut callers, queued_at, queued, .. } in taken.drain(..) {
            if drop_gone(&mut callers, metrics) {
                continue;
            }
            let earlier = by_request.get(&submission.request_id).and_then(|index| entries.get_mut(*index));
            if let Some(entry) = earlier {
                entry.callers.append(&mut callers);
                continue;
            }
            by_request.insert(submission.request_id, entries.len());
            entries.push(BatchEntry {
                request_id: submission.request_id,
                fingerprint: submission.fingerprint,
                expected_version: submission.expected_version,
                command: submission.command,
                metadata: submission.metadata,
                slots: streams.iter().map(|stream| working_set.slot_of(stream, cache)).collect(),
                refusal: None,
                callers,
                queued_at,
                queued,
                in_doubt: false,
                metrics: Arc::clone(metrics),
            });
        }
        let (conflicted, loaded) = (Vec::new(), Vec::new());
        Self { entries, working_set, conflicts_in_a_row: 0, conflicted, loaded }
    }

    /// Returns whether commands are left without a result, and removes the others. Commands whose callers have all gone
    /// are removed too: nothing of an open command is stored.
    pub(super) fn has_open_commands(&mut self) -> bool {
        self.entries.retain_mut(|entry| {
            entry.refusal = None;
            entry.is_open() && !drop_gone(&mut entry.callers, &entry.metrics)
        });
        !self.entries.is_empty()
    }

    /// Returns whether nobody waits for an open command any more: not for its outcome here.
    pub(super) fn is_abandoned(&self) -> bool {
        self.entries.iter().all(BatchEntry::is_abandoned)
    }

    /// Returns whether one of these commands must not be stored now: it is being queued, or it would overtake one that
    /// is.
    pub(super) fn is_overtaking(&self, entries: &[usize], queue_index: &QueueIndex) -> bool {
        let is_queued = |entry: &BatchEntry<D>| {
            let cancellations = entry.callers.iter().filter_map(|caller| caller.cancellation.as_ref());
            cancellations.into_iter().any(Cancellation::is_made)
        };
        let mut entries = entries.iter().filter_map(|index| self.entries.get(*index));
        entries.any(|entry| is_queued(entry) || self.stream_queued_before(entry, queue_index).is_some())
    }

    /// A stream of a command that has commands in the durable queue, which this one must not overtake.
    pub(super) fn stream_queued_before(&self, entry: &BatchEntry<D>, queue_index: &QueueIndex) -> Option<StreamId> {
        if queue_index.is_empty() || entry.queued.is_some() {
            return None;
        }
        let mut streams = entry.slots.iter().map(|slot| self.working_set.stream_id(*slot));
        streams.find(|stream| queue_index.stream(stream) != StreamQueue::Empty).cloned()
    }

    /// Notes that these commands may be stored, or may yet be.
    pub(super) fn mark_in_doubt(&mut self, entries: &[usize]) {
        for index in entries {
            if let Some(entry) = self.entries.get_mut(*index) {
                entry.in_doubt = true;
            }
        }
    }

    /// Takes out the open commands on contended streams, and those on any of their streams, and puts them before the
    /// claimed ones: what was kept so far came before these, if it is on the same streams.
    pub(super) fn take_contended(&mut self, contended: &ContendedStreams, claimed: &mut Vec<PendingCommand<D>>) {
        let (mut taken, mut kept) = (Vec::new(), Vec::with_capacity(self.entries.len()));
        for entry in mem::take(&mut self.entries) {
            let streams: Vec<StreamId> =
                entry.slots.iter().map(|slot| self.working_set.stream_id(*slot).clone()).collect();
            if entry.is_open() && contended.claim(&streams) {
                taken.push(entry.into_pending(streams));
            } else {
                kept.push(entry);
            }
        }
        self.entries = kept;
        claimed.splice(0..0, taken);
        // The other sequencer counts for itself.
        self.conflicts_in_a_row = 0;
    }

    /// Replies to every open command whose outcome the store has already. Returns their number.
    pub(super) fn reply_stored(&mut self, stored: Vec<StoredRequest>, repeated: bool) -> usize {
        if stored.is_empty() {
            return 0;
        }
        let mut by_request: HashMap<RequestId, StoredRequest> =
            stored.into_iter().map(|stored| (stored.request_id, stored)).collect();
        let mut replied = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_open()) {
            if let Some(stored) = by_request.remove(&entry.request_id) {
                entry.reply_stored(&stored, repeated);
                replied += 1;
            }
        }
        replied
    }

    /// Fails the open commands on streams to which other processes keep writing first. Returns their number.
    pub(super) fn fail_contended(&mut self, conflicts: &[Conflict]) -> usize {
        let mut failed = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_open()) {
            let touched = conflicts.iter().find(|conflict| {
                entry.slots.iter().any(|slot| *self.working_set.stream_id(*slot) == conflict.stream_id)
            });
            if let Some(Conflict { stream_id, expected, actual }) = touched {
                entry.fail(CommandOutcome::Contention, || CommandError::Contention {
                    stream_id: stream_id.clone(),
                    expected: *expected,
                    actual: *actual,
                });
                failed += 1;
            }
        }
        failed
    }

    /// Fails all open commands.
    pub(super) fn fail_open(&mut self, error: RetryError) {
        for entry in &mut self.entries {
            match error {
                RetryError::Unavailable => entry.fail(CommandOutcome::Unavailable, || CommandError::Unavailable),
                RetryError::OutcomeUnknown => entry.fail(CommandOutcome::Unknown, || CommandError::OutcomeUnknown),
                RetryError::Suspended => entry.fail(CommandOutcome::Suspended, || CommandError::Suspended),
                RetryError::Internal => entry.fail(CommandOutcome::Internal, || CommandError::Internal),
            }
        }
    }
}

impl<D: Domain> BatchEntry<D> {
    /// The command as it was queued, for another sequencer.
    fn into_pending(self, streams: Vec<StreamId>) -> PendingCommand<D> {
        let Self { request_id, fingerprint, expected_version, command, metadata, callers, queued_at, queued, .. } =
            self;
        let submission = Submission { request_id, fingerprint, expected_version, command, metadata };
        PendingCommand { submission, streams, callers, queued_at, stream_share: None, queued }
    }

    /// Returns whether a caller still waits for a result.
    pub(super) fn is_open(&self) -> bool {
        !self.callers.is_empty()
    }

    /// Returns whether all callers have gone. What is not decided yet is then not decided: the caller may have had it
    /// queued meanwhile, and it is executed in the order of the queue.
    pub(super) fn is_abandoned(&self) -> bool {
        self.callers.iter().all(Caller::has_gone)
    }

    /// Replies with the stored outcome of the request id.
    pub(super) fn reply_stored(&mut self, stored: &StoredRequest, repeated: bool) {
        match &stored.outcome {
            StoredOutcome::Committed(receipt) => self.reply_committed(stored.fingerprint, receipt, repeated),
            StoredOutcome::Refused(refusal) => self.reply_refused(stored.fingerprint, refusal, repeated),
        }
    }

    /// Replies with the receipt: the command is stored with this content.
    pub(super) fn reply_committed(&mut self, fingerprint: Fingerprint, receipt: &Receipt, repeated: bool) {
        let mut repeated = repeated;
        for caller in mem::take(&mut self.callers) {
            if caller.fingerprint == fingerprint {
                let outcome = if repeated { CommandOutcome::Repeated } else { CommandOutcome::Committed };
                self.reply(caller, outcome, Ok(StoredCommand { receipt: receipt.clone(), repeated }));
                // Further callers with the same content in the same batch repeat the first.
                repeated = true;
            } else {
                self.reply_reused(caller);
            }
        }
    }

    /// Replies with the refusal, which is stored with this content.
    pub(super) fn reply_refused(&mut self, fingerprint: Fingerprint, encoded: &[u8], repeated: bool) {
        for caller in mem::take(&mut self.callers) {
            if caller.fingerprint != fingerprint {
                self.reply_reused(caller);
                continue;
            }
            match refusal::decode::<D>(encoded) {
                Ok(error) if repeated => {
                    self.reply(caller, CommandOutcome::Repeated, Err(CommandError::RefusedBefore(Box::new(error))));
                }
                Ok(error) => {
                    let is_rule = matches!(error, CommandError::Refused(_));
                    let outcome = if is_rule { CommandOutcome::Refused } else { CommandOutcome::VersionMismatch };
                    self.reply(caller, outcome, Err(error));
                }
                Err(error) => {
                    let request_id = self.request_id;
                    error!(%request_id, %error, "a stored refusal cannot be read, its command fails");
                    self.reply(caller, CommandOutcome::Internal, Err(CommandError::Internal));
                }
            }
        }
    }

    /// Replies with the same error to all callers.
    pub(super) fn fail(&mut self, outcome: CommandOutcome, error: impl Fn() -> CommandError<D::Refusal>) {
        if let Some(queued) = &self.queued {
            queued.order.interrupt();
        }
        for caller in mem::take(&mut self.callers) {
            self.reply(caller, outcome, Err(error()));
        }
    }

    fn reply_reused(&self, caller: Caller<D>) {
        let error = CommandError::RequestIdReused { request_id: self.request_id };
        self.reply(caller, CommandOutcome::RequestIdReused, Err(error));
    }

    fn reply(&self, caller: Caller<D>, outcome: CommandOutcome, result: CommandResult<D>) {
        self.metrics.record_outcome(outcome);
        // The caller may have gone.
        let _ = caller.reply.send(result);
    }
}

/// Drops callers that have gone. Returns whether none is left.
fn drop_gone<D: Domain>(callers: &mut Vec<Caller<D>>, metrics: &Metrics) -> bool {
    for caller in callers.extract_if(.., |caller| caller.has_gone()) {
        metrics.record_outcome(CommandOutcome::CallerGone);
        // One whose command is being queued still waits: nothing of it is stored here.
        let _ = caller.reply.send(Err(CommandError::Unavailable));
    }
    callers.is_empty()
}
