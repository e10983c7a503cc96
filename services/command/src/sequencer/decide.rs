//! Deciding a batch, in memory.

use diptych_kernel::{
    NewEvent,
    domain::{Domain, EVENTS_PER_COMMAND_MAX},
    ports::{AppendUnit, Snapshot},
};
use tracing::error;

use super::{
    batch::{Batch, Entry, Verdict},
    working_set::WorkingSet,
};
use crate::{CommandError, SequencerConfig, metrics::Ending};

/// What a batch wants stored, all or none.
pub(super) struct Proposal {
    /// One per command that was accepted, in order.
    pub(super) units: Vec<AppendUnit>,
    /// For each unit, which of the batch's entries it is of.
    pub(super) entries: Vec<usize>,
    pub(super) snapshots: Vec<Snapshot>,
}

/// What came of a command.
enum Decision<D: Domain> {
    /// Its events, each with the index of its stream.
    Accepted(Vec<(usize, D::Event)>),
    /// A *no*, to be told once it is known to be true.
    Denied(Verdict<D>),
    /// A contract is broken; the log has the story.
    Broken,
}

impl<D: Domain> Batch<D> {
    /// Decides the open commands in order, each on the states that those before it leave, until an append is full. The rest stays
    /// open for the next round.
    pub(super) fn decide(&mut self, config: &SequencerConfig) -> Proposal {
        let mut proposal = Proposal { units: Vec::new(), entries: Vec::new(), snapshots: Vec::new() };
        let mut events = 0;
        for (index, entry) in self.entries.iter_mut().enumerate().filter(|(_, entry)| entry.is_open()) {
            let decided = match entry.decide(&mut self.working_set) {
                Decision::Accepted(decided) => decided,
                Decision::Denied(verdict) => {
                    entry.deny(verdict, &self.working_set);
                    continue;
                }
                Decision::Broken => {
                    entry.settle_all(Ending::Internal, || CommandError::Internal);
                    continue;
                }
            };
            if events + decided.len() > config.batch_events_max {
                break;
            }
            events += decided.len();
            proposal.units.push(entry.accept(&decided, &mut self.working_set));
            proposal.entries.push(index);
        }
        proposal.snapshots = self.working_set.snapshots(config.snapshot_every_events);
        proposal
    }
}

impl<D: Domain> Entry<D> {
    fn decide(&self, working_set: &mut WorkingSet<D>) -> Decision<D> {
        if !self.slots.iter().all(|slot| working_set.is_readable(*slot)) {
            return Decision::Broken;
        }
        if let Some(verdict) = self.wrong_version(working_set) {
            return Decision::Denied(verdict);
        }
        match working_set.decide(&self.slots, &self.command) {
            Ok(events) if self.keeps_contract(&events, working_set) => Decision::Accepted(events),
            Ok(_) => Decision::Broken,
            Err(refusal) => {
                let mut refusals = vec![refusal];
                for _ in 1..self.same_askers() {
                    refusals.extend(working_set.decide(&self.slots, &self.command).err());
                }
                Decision::Denied(Verdict::Refused(refusals))
            }
        }
    }

    fn wrong_version(&self, working_set: &WorkingSet<D>) -> Option<Verdict<D>> {
        let (expected, first) = (self.expected_version?, *self.slots.first()?);
        let actual = working_set.version(first);
        let stream_id = working_set.stream_id(first).clone();
        (actual != expected).then_some(Verdict::WrongVersion { stream_id, expected, actual })
    }

    /// Whether the events are some that may be stored. Every stream must get one: an append checks the streams that it writes to, so a
    /// stream that was only read could have changed unseen.
    fn keeps_contract(&self, events: &[(usize, D::Event)], working_set: &WorkingSet<D>) -> bool {
        let known = events.iter().all(|(stream, _)| *stream < self.slots.len());
        let all_written = (0..self.slots.len()).all(|stream| events.iter().any(|(written, _)| *written == stream));
        if !known || !all_written || !(1..=EVENTS_PER_COMMAND_MAX).contains(&events.len()) {
            let (request_id, events) = (self.request_id, events.len());
            error!(%request_id, events, known, all_written, "the domain decided on events that no command may have");
            return false;
        }
        let full = self.slots.iter().find(|slot| {
            let left = u32::MAX - working_set.version(**slot).number();
            usize::try_from(left).is_ok_and(|left| left < events.len())
        });
        if let Some(slot) = full {
            error!(request_id = %self.request_id, stream_id = %working_set.stream_id(*slot), "the stream has no versions left");
        }
        full.is_none()
    }

    /// Keeps the *no*, or tells it at once where the store has just said, of one moment after the command arrived, that the states are
    /// these and that the request id is new.
    fn deny(&mut self, verdict: Verdict<D>, working_set: &WorkingSet<D>) {
        self.verdict = Some(verdict);
        if self.looked_up_at.is_some_and(|moment| working_set.seen_together(&self.slots, moment)) {
            self.settle_verdict();
        }
    }

    /// Puts the events on top of the states and makes them ready to be stored.
    fn accept(&self, decided: &[(usize, D::Event)], working_set: &mut WorkingSet<D>) -> AppendUnit {
        let events = decided
            .iter()
            .filter_map(|(stream, event)| {
                let slot = *self.slots.get(*stream)?;
                let (event_type, payload) = D::encode_event(event);
                let version = working_set.put_on_top(slot, event);
                Some(NewEvent { stream_id: working_set.stream_id(slot).clone(), version, event_type, payload })
            })
            .collect();
        AppendUnit {
            request_id: self.request_id,
            fingerprint: self.fingerprint,
            events,
            metadata: self.metadata.clone(),
        }
    }
}
