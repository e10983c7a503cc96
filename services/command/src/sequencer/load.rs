//! Loading the streams that a batch needs and the cache does not hold.

use std::collections::HashSet;

use diptych_kernel::{
    RecordedEvent, RequestId, StreamId, Version,
    domain::Domain,
    ports::{EventStore, Loaded, StreamLoad, StreamSlice},
};
use tracing::{error, warn};

use super::{
    Sequencer,
    batch::Batch,
    states::{Held, Unreadable},
    working_set::{Knowledge, Moment, SlotId, WorkingSet},
};
use crate::patience::{GaveUp, Patience};

/// How many events are read at a time where a snapshot cannot be read.
const EVENTS_PER_READ_MAX: usize = 1_024;

/// A question to the store: streams, and request ids with them, as of one moment.
#[derive(Default)]
pub(super) struct Question {
    pub(super) slots: Vec<SlotId>,
    streams: Vec<StreamLoad>,
    pub(super) requests: Vec<RequestId>,
}

impl Question {
    /// Asks for what a stream has after the version that is held of it.
    pub(super) fn ask<D: Domain>(&mut self, slot: SlotId, working_set: &WorkingSet<D>) {
        let (stream_id, known_version) = (working_set.stream_id(slot).clone(), working_set.version(slot));
        self.slots.push(slot);
        self.streams.push(StreamLoad { stream_id, known_version });
    }
}

impl<D: Domain, S: EventStore> Sequencer<D, S> {
    /// Loads every stream of an open command that is not held, and looks up the request ids of the commands on them in the same call: what
    /// is stored already is answered at once, and a refusal on what was just loaded is known to be true.
    pub(super) async fn load_missing(&self, batch: &mut Batch<D>, patience: Patience) -> Result<(), GaveUp> {
        let mut question = Question::default();
        let mut asked = HashSet::new();
        let moment = batch.moment.next();
        for entry in batch.entries.iter_mut().filter(|entry| entry.is_open()) {
            let mut concerned = false;
            for slot in entry.slots.iter().filter(|slot| batch.working_set.is_missing(**slot)) {
                concerned = true;
                if asked.insert(*slot) {
                    question.ask(*slot, &batch.working_set);
                }
            }
            if concerned {
                entry.looked_up_at = Some(moment);
                question.requests.push(entry.request_id);
            }
        }
        if question.slots.is_empty() {
            return Ok(());
        }
        batch.moment = moment;
        let loaded = self.ask(&question, patience).await?;
        for (slot, slice) in question.slots.iter().zip(&loaded.streams) {
            let (knowledge, seen_at) = self.rebuild(slice, moment, patience).await?;
            batch.working_set.learn(*slot, knowledge, seen_at);
        }
        batch.settle_stored(loaded.requests, true);
        Ok(())
    }

    /// Asks until there is an answer, which then has one slice per stream.
    pub(super) async fn ask(&self, question: &Question, patience: Patience) -> Result<Loaded, GaveUp> {
        let load = || self.store.load(&question.streams, D::SNAPSHOT_FORMAT, &question.requests);
        let loaded = patience.until_answered("load", load).await.map_err(GaveUp::of_question)?.value;
        if loaded.streams.len() != question.streams.len() {
            let (asked, got) = (question.streams.len(), loaded.streams.len());
            error!(asked, got, "the write database loaded a wrong number of streams");
            return Err(GaveUp::Internal);
        }
        self.metrics.loaded(loaded.streams.iter().map(|slice| slice.events.len()).sum());
        Ok(loaded)
    }

    /// The state of a stream, from its newest snapshot and the events after it.
    async fn rebuild(
        &self,
        slice: &StreamSlice,
        moment: Moment,
        patience: Patience,
    ) -> Result<(Knowledge<D>, Option<Moment>), GaveUp> {
        let start = match &slice.snapshot {
            None => Ok(Held::nothing()),
            Some(snapshot) => Held::at_snapshot(snapshot),
        };
        match start {
            Ok(mut held) => {
                let readable = take_in_all(&slice.stream_id, &mut held, &slice.events);
                Ok((if readable { Knowledge::Held(held) } else { Knowledge::Unreadable }, Some(moment)))
            }
            Err(problem) => {
                warn!(stream_id = %slice.stream_id, %problem, "a snapshot cannot be read, reading all events instead");
                Ok((self.rebuild_from_events(&slice.stream_id, patience).await?, None))
            }
        }
    }

    async fn rebuild_from_events(&self, stream_id: &StreamId, patience: Patience) -> Result<Knowledge<D>, GaveUp> {
        let mut held = Held::<D>::nothing();
        loop {
            let after: Version = held.version;
            let read = || self.store.read_stream_after(stream_id, after, EVENTS_PER_READ_MAX);
            let events = patience.until_answered("read stream", read).await.map_err(GaveUp::of_question)?.value;
            self.metrics.loaded(events.len());
            if events.is_empty() {
                return Ok(Knowledge::Held(held));
            }
            if !take_in_all(stream_id, &mut held, &events) {
                return Ok(Knowledge::Unreadable);
            }
        }
    }
}

/// Takes in stored events. Says no, and tells the log why, where one cannot be read.
pub(super) fn take_in_all<D: Domain>(stream_id: &StreamId, held: &mut Held<D>, events: &[RecordedEvent]) -> bool {
    for record in events {
        if let Err(problem) = held.take_in(record) {
            tell_unreadable(stream_id, record, &problem);
            return false;
        }
    }
    true
}

fn tell_unreadable(stream_id: &StreamId, record: &RecordedEvent, problem: &Unreadable) {
    error!(
        %stream_id,
        position = %record.position,
        version = %record.version,
        event_type = %record.event_type,
        %problem,
        "a stored event cannot be read, commands on its stream are answered with an internal error"
    );
}
