//! Decision of a batch, in memory.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use diptych_kernel::{
    NewEvent, StreamId,
    domain::{Domain, EVENTS_PER_COMMAND_MAX},
    ports::{APPEND_BYTES_MAX, AppendUnit, EVENT_BYTES_MAX, Snapshot},
};
use tracing::error;

use super::{
    batch::{BatchEntry, CommandBatch},
    working_set::{SlotId, WorkingSet},
};
use crate::{CommandError, SequencerConfig, metrics::CommandOutcome, queueing::QueueIndex, refusal};

/// The append that stores what a batch has decided, all or none.
pub(super) struct PlannedAppend {
    /// One unit per accepted command, in order.
    pub(super) units: Vec<AppendUnit>,
    /// For each unit, the index of its entry in the batch.
    pub(super) entries: Vec<usize>,
    pub(super) snapshots: Vec<Snapshot>,
}

/// The decision on a command.
enum Decision<D: Domain> {
    /// Its events.
    Accepted(Vec<EncodedEvent<D::Event>>),
    /// An encoded refusal, to be sent once it is stored.
    Refused(Bytes),
    /// Its events are too large for the log.
    TooLarge(EventsTooLarge),
    /// A contract is broken; the cause is in the log.
    Invalid,
}

/// Events of a command that are too large: one of them, or all together.
struct EventsTooLarge {
    what: &'static str,
    bytes: usize,
    bytes_max: usize,
}

/// An event of a command, encoded: the index of its stream, its type and its payload.
struct EncodedEvent<E> {
    stream: usize,
    event: E,
    event_type: Arc<str>,
    payload: Bytes,
}

impl<E> EncodedEvent<E> {
    fn bytes(&self) -> usize {
        self.event_type.len() + self.payload.len()
    }
}

/// Encodes the events of a command, and checks that the log can take them.
fn encode_events<D: Domain>(events: Vec<(usize, D::Event)>) -> Result<Vec<EncodedEvent<D::Event>>, EventsTooLarge> {
    let encoded: Vec<_> = events
        .into_iter()
        .map(|(stream, event)| {
            let (event_type, payload) = D::encode_event(&event);
            EncodedEvent { stream, event, event_type, payload }
        })
        .collect();
    let largest = encoded.iter().map(EncodedEvent::bytes).max().unwrap_or_default();
    if largest > EVENT_BYTES_MAX {
        return Err(EventsTooLarge { what: "an event", bytes: largest, bytes_max: EVENT_BYTES_MAX });
    }
    let sum = encoded.iter().map(EncodedEvent::bytes).sum();
    if sum > APPEND_BYTES_MAX {
        return Err(EventsTooLarge { what: "events", bytes: sum, bytes_max: APPEND_BYTES_MAX });
    }
    Ok(encoded)
}

impl<D: Domain> CommandBatch<D> {
    /// Decides the open commands in order, each on the states that the commands before it leave, until the append is
    /// full. The rest stays open for the next round. So do commands from the queue after one on the same stream that is
    /// refused: should its refusal not be stored, because another process wrote to the stream, it is decided again
    /// before them.
    pub(super) fn decide(&mut self, config: &SequencerConfig, queue_index: &QueueIndex) -> PlannedAppend {
        self.fail_behind_queued(queue_index);
        let mut planned = PlannedAppend { units: Vec::new(), entries: Vec::new(), snapshots: Vec::new() };
        let (mut events, mut bytes) = (0, 0);
        let mut refused_slots: HashSet<SlotId> = HashSet::new();
        for (index, entry) in
            self.entries.iter_mut().enumerate().filter(|(_, entry)| entry.is_open() && !entry.is_abandoned())
        {
            if entry.queued.as_ref().is_some_and(|queued| queued.order.is_interrupted()) {
                entry.fail(CommandOutcome::Unavailable, || CommandError::Unavailable);
                continue;
            }
            if entry.queued.is_some() && entry.slots.iter().any(|slot| refused_slots.contains(slot)) {
                // Those after it on its other streams wait too.
                refused_slots.extend(&entry.slots);
                continue;
            }
            let decided = match entry.decide(&mut self.working_set) {
                Decision::Accepted(decided) => decided,
                Decision::Refused(refusal) => {
                    entry.refusal = Some(refusal);
                    if entry.queued.is_some() {
                        refused_slots.extend(&entry.slots);
                    }
                    continue;
                }
                Decision::TooLarge(EventsTooLarge { what, bytes, bytes_max }) => {
                    entry.fail(CommandOutcome::TooLarge, || CommandError::TooLarge { what, bytes, bytes_max });
                    continue;
                }
                Decision::Invalid => {
                    entry.fail(CommandOutcome::Internal, || CommandError::Internal);
                    continue;
                }
            };
            let decided_bytes: usize = decided.iter().map(EncodedEvent::bytes).sum();
            if events + decided.len() > config.batch_events_max || bytes + decided_bytes > APPEND_BYTES_MAX {
                break;
            }
            events += decided.len();
            bytes += decided_bytes;
            planned.units.push(entry.accept(decided, &mut self.working_set));
            planned.entries.push(index);
        }
        planned.snapshots = self.working_set.snapshots(config.snapshot_every_events);
        planned
    }
}

impl<D: Domain> CommandBatch<D> {
    /// Fails the commands on streams with commands in the durable queue, as they must not overtake these.
    fn fail_behind_queued(&mut self, queue_index: &QueueIndex) {
        if queue_index.is_empty() {
            return;
        }
        let behind: Vec<Option<StreamId>> =
            self.entries.iter().map(|entry| self.stream_queued_before(entry, queue_index)).collect();
        for (entry, stream_id) in self.entries.iter_mut().zip(behind) {
            match stream_id {
                Some(_) if entry.in_doubt => entry.fail(CommandOutcome::Unknown, || CommandError::OutcomeUnknown),
                Some(stream_id) => {
                    let error = || CommandError::StreamQueued { stream_id: stream_id.clone() };
                    entry.fail(CommandOutcome::StreamQueued, error);
                }
                None => {}
            }
        }
    }
}

impl<D: Domain> BatchEntry<D> {
    fn decide(&self, working_set: &mut WorkingSet<D>) -> Decision<D> {
        if !self.slots.iter().all(|slot| working_set.is_readable(*slot)) {
            return Decision::Invalid;
        }
        if self.queued.as_ref().is_some_and(|queued| queued.is_expired) {
            return Decision::Refused(refusal::encode_expired());
        }
        if let Some(refusal) = self.version_mismatch(working_set) {
            return Decision::Refused(refusal);
        }
        match working_set.decide(&self.slots, &self.command) {
            Ok(events) if self.keeps_contract(&events, working_set) => {
                encode_events::<D>(events).map_or_else(Decision::TooLarge, Decision::Accepted)
            }
            Ok(_) => Decision::Invalid,
            Err(refused) => refusal::encode_rule::<D>(&refused).map_or_else(
                || {
                    let request_id = self.request_id;
                    error!(%request_id, ?refused, "the domain's refusal is too large to be stored");
                    Decision::Invalid
                },
                Decision::Refused,
            ),
        }
    }

    fn version_mismatch(&self, working_set: &WorkingSet<D>) -> Option<Bytes> {
        let (expected, first) = (self.expected_version?, *self.slots.first()?);
        let actual = working_set.version(first);
        (actual != expected).then(|| refusal::encode_version_mismatch(working_set.stream_id(first), expected, actual))
    }

    /// Returns whether the events may be stored. Every stream must get one: an append checks the streams that it writes
    /// to, so a stream that was only read could have changed unnoticed.
    fn keeps_contract(&self, events: &[(usize, D::Event)], working_set: &WorkingSet<D>) -> bool {
        let known = events.iter().all(|(stream, _)| *stream < self.slots.len());
        let all_written = (0..self.slots.len()).all(|stream| events.iter().any(|(written, _)| *written == stream));
        if !known || !all_written || !(1..=EVENTS_PER_COMMAND_MAX).contains(&events.len()) {
            let (request_id, events) = (self.request_id, events.len());
            error!(%request_id, events, known, all_written, "the domain returned events that a command may not have");
            return false;
        }
        let full = self.slots.iter().find(|slot| {
            let left = u32::MAX - working_set.version(**slot).number();
            usize::try_from(left).is_ok_and(|left| left < events.len())
        });
        if let Some(slot) = full {
            let (request_id, stream_id) = (self.request_id, working_set.stream_id(*slot));
            error!(%request_id, %stream_id, "the stream has no versions left");
        }
        full.is_none()
    }

    /// Applies the events to the states and prepares them for the append.
    fn accept(&self, decided: Vec<EncodedEvent<D::Event>>, working_set: &mut WorkingSet<D>) -> AppendUnit {
        let events = decided
            .into_iter()
            .filter_map(|EncodedEvent { stream, event, event_type, payload }| {
                let slot = *self.slots.get(stream)?;
                let version = working_set.apply_uncommitted(slot, &event);
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
