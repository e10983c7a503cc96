//! The commands of one batch, and who waits for each.

use std::{collections::HashMap, mem, sync::Arc};

use diptych_kernel::{
    EventMetadata, Fingerprint, Receipt, RequestId, StreamId, Version,
    domain::Domain,
    ports::{Conflict, StoredRequest},
};
use tokio::sync::oneshot;

use super::{
    Waiting,
    states::StateCache,
    working_set::{Moment, SlotId, WorkingSet},
};
use crate::{
    CommandError, Done,
    handle::Answer,
    metrics::{Ending, Metrics},
    patience::GaveUp,
};

/// Someone who waits for a command. A request id that comes several times in a batch is one command with several askers.
struct Asker<D: Domain> {
    fingerprint: Fingerprint,
    reply: oneshot::Sender<Answer<D>>,
}

/// A *no* that is not told yet, because it rests on states that may be old, or on events that are not stored.
pub(super) enum Verdict<D: Domain> {
    /// One refusal per asker with the same content: refusals cannot be copied, but deciding is pure.
    Refused(Vec<D::Refusal>),
    /// The first stream is not where the caller expects it.
    WrongVersion { stream_id: StreamId, expected: Version, actual: Version },
}

/// A command of the batch.
pub(super) struct Entry<D: Domain> {
    pub(super) request_id: RequestId,
    pub(super) fingerprint: Fingerprint,
    pub(super) expected_version: Option<Version>,
    pub(super) command: D::Command,
    pub(super) metadata: EventMetadata,
    pub(super) slots: Vec<SlotId>,
    /// When the store said that the request id is new.
    pub(super) looked_up_at: Option<Moment>,
    pub(super) verdict: Option<Verdict<D>>,
    askers: Vec<Asker<D>>,
    metrics: Arc<Metrics>,
}

/// The commands of one batch, in the order of their arrival.
pub(super) struct Batch<D: Domain> {
    pub(super) entries: Vec<Entry<D>>,
    pub(super) working_set: WorkingSet<D>,
    /// How many times in a row it was decided again because of others.
    pub(super) conflicts_in_a_row: usize,
    /// The newest load.
    pub(super) moment: Moment,
}

impl<D: Domain> Batch<D> {
    /// Makes a batch of what was taken from the queue. Commands that nobody waits for are left out.
    pub(super) fn gather(taken: &mut Vec<Waiting<D>>, cache: &mut StateCache<D>, metrics: &Arc<Metrics>) -> Self {
        let mut working_set = WorkingSet::new();
        let mut entries: Vec<Entry<D>> = Vec::with_capacity(taken.len());
        let mut by_request: HashMap<RequestId, usize> = HashMap::with_capacity(taken.len());
        for Waiting { submission, streams, reply, .. } in taken.drain(..) {
            if reply.is_closed() {
                metrics.ended(Ending::CallerGone);
                continue;
            }
            let asker = Asker { fingerprint: submission.fingerprint, reply };
            let earlier = by_request.get(&submission.request_id).and_then(|index| entries.get_mut(*index));
            if let Some(entry) = earlier {
                entry.askers.push(asker);
                continue;
            }
            by_request.insert(submission.request_id, entries.len());
            entries.push(Entry {
                request_id: submission.request_id,
                fingerprint: submission.fingerprint,
                expected_version: submission.expected_version,
                command: submission.command,
                metadata: submission.metadata,
                slots: streams.iter().map(|stream| working_set.slot_of(stream, cache)).collect(),
                looked_up_at: None,
                verdict: None,
                askers: vec![asker],
                metrics: Arc::clone(metrics),
            });
        }
        Self { entries, working_set, conflicts_in_a_row: 0, moment: Moment::FIRST }
    }

    /// Whether commands are left without an outcome. Those whose callers have all gone meanwhile count no more: nothing of an open
    /// command is stored.
    pub(super) fn has_open_commands(&mut self) -> bool {
        self.entries.retain_mut(|entry| {
            entry.verdict = None;
            entry.is_open() && !entry.drop_gone_askers()
        });
        !self.entries.is_empty()
    }

    /// Answers every command that the store has stored already. Returns how many.
    pub(super) fn settle_stored(&mut self, stored: Vec<StoredRequest>, repeated: bool) -> usize {
        if stored.is_empty() {
            return 0;
        }
        let mut by_request: HashMap<RequestId, StoredRequest> =
            stored.into_iter().map(|stored| (stored.receipt.request_id, stored)).collect();
        let mut settled = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_open()) {
            if let Some(stored) = by_request.remove(&entry.request_id) {
                entry.settle_stored(stored.fingerprint, &stored.receipt, repeated);
                settled += 1;
            }
        }
        settled
    }

    /// Ends the commands that touch streams on which others keep being faster. Returns how many.
    pub(super) fn settle_contention(&mut self, conflicts: &[Conflict]) -> usize {
        let mut settled = 0;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_open()) {
            let touched = conflicts.iter().find(|conflict| {
                entry.slots.iter().any(|slot| *self.working_set.stream_id(*slot) == conflict.stream_id)
            });
            if let Some(Conflict { stream_id, expected, actual }) = touched {
                entry.settle_all(Ending::Contention, || CommandError::Contention {
                    stream_id: stream_id.clone(),
                    expected: *expected,
                    actual: *actual,
                });
                settled += 1;
            }
        }
        settled
    }

    /// Ends all that is open.
    pub(super) fn give_up(&mut self, gave_up: GaveUp) {
        for entry in &mut self.entries {
            match gave_up {
                GaveUp::Unavailable => entry.settle_all(Ending::Unavailable, || CommandError::Unavailable),
                GaveUp::OutcomeUnknown => entry.settle_all(Ending::OutcomeUnknown, || CommandError::OutcomeUnknown),
                GaveUp::Internal => entry.settle_all(Ending::Internal, || CommandError::Internal),
            }
        }
    }
}

impl<D: Domain> Entry<D> {
    /// Whether someone still waits for an outcome.
    pub(super) fn is_open(&self) -> bool {
        !self.askers.is_empty()
    }

    /// How many askers have the same content as the command that is decided.
    pub(super) fn same_askers(&self) -> usize {
        self.askers.iter().filter(|asker| asker.fingerprint == self.fingerprint).count()
    }

    /// The command is stored, with this content and this receipt.
    pub(super) fn settle_stored(&mut self, fingerprint: Fingerprint, receipt: &Receipt, repeated: bool) {
        let mut repeated = repeated;
        for asker in mem::take(&mut self.askers) {
            if asker.fingerprint == fingerprint {
                let ending = if repeated { Ending::Repeated } else { Ending::Committed };
                self.tell(asker, ending, Ok(Done { receipt: receipt.clone(), repeated }));
                // Who asked for the same in the same batch repeats the first.
                repeated = true;
            } else {
                self.tell_reused(asker);
            }
        }
    }

    /// The *no* is true: tells it.
    pub(super) fn settle_verdict(&mut self) {
        match self.verdict.take() {
            None => {}
            Some(Verdict::Refused(mut refusals)) => {
                for asker in mem::take(&mut self.askers) {
                    if asker.fingerprint != self.fingerprint {
                        self.tell_reused(asker);
                    } else if let Some(refusal) = refusals.pop() {
                        self.tell(asker, Ending::Refused, Err(CommandError::Refused(refusal)));
                    } else {
                        // Only a domain that decides differently on the same arguments leads here.
                        self.tell(asker, Ending::Internal, Err(CommandError::Internal));
                    }
                }
            }
            Some(Verdict::WrongVersion { stream_id, expected, actual }) => {
                self.settle_all(Ending::VersionMismatch, || CommandError::VersionMismatch {
                    stream_id: stream_id.clone(),
                    expected,
                    actual,
                });
            }
        }
    }

    /// The same outcome for everyone.
    pub(super) fn settle_all(&mut self, ending: Ending, error: impl Fn() -> CommandError<D::Refusal>) {
        for asker in mem::take(&mut self.askers) {
            self.tell(asker, ending, Err(error()));
        }
    }

    /// Whether nobody waits any more.
    fn drop_gone_askers(&mut self) -> bool {
        self.askers.retain(|asker| {
            let gone = asker.reply.is_closed();
            if gone {
                self.metrics.ended(Ending::CallerGone);
            }
            !gone
        });
        self.askers.is_empty()
    }

    fn tell_reused(&self, asker: Asker<D>) {
        let error = CommandError::RequestIdReused { request_id: self.request_id };
        self.tell(asker, Ending::RequestIdReused, Err(error));
    }

    fn tell(&self, asker: Asker<D>, ending: Ending, answer: Answer<D>) {
        self.metrics.ended(ending);
        // Who asked may have gone.
        let _ = asker.reply.send(answer);
    }
}
