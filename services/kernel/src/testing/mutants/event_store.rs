//! In-memory event store and its mutants.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{InMemoryTestEnv, assert_caught};
use crate::{
    ports::{
        AppendOutcome, AppendUnit, Conflict, EventPage, EventStore, Loaded, PortError, PortResult, RefusalOutcome,
        RefusalUnit, Snapshot, StoredOutcome, StoredRequest, StreamLoad, StreamSlice, Turn,
    },
    testing::{
        FaultyTestEnv, ManualClock, block_on, event_store,
        faulty::{FaultInjector, FaultyEventStore},
        theatre, with_seed, yield_now,
    },
    vocabulary::{
        Clock, EventIdentity, EventMetadata, Fingerprint, Partition, Partitions, Position, Receipt, ReceiptStreams,
        RecordedEvent, RequestId, StreamId, StreamReceipt, Timestamp, Version,
    },
};

/// The rule that a mutant breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Stores the first unit of a batch that is rejected.
    StoresPartOfBatch,
    /// Does not check request ids.
    IgnoresRequestIds,
    /// A repeated request gets a new receipt.
    ChangesReceipts,
    /// Assigns positions first and stores the events later.
    SkipsUndecidedEvents,
    /// Reports a page cut at the limit as complete up to the end.
    ReportsCompleteTooFar,
    /// Reports the expected version as the actual one.
    ReportsExpectedAsActual,
    /// An older snapshot replaces a newer one.
    AcceptsOlderSnapshots,
    /// Returns snapshots of any format.
    IgnoresSnapshotFormat,
    /// Forgets requests recorded after the cutoff.
    ForgetsRecentRequests,
    /// Deletes the events of forgotten requests.
    ForgetsEvents,
    /// Reports a refusal as stored, and does not store it.
    DropsRefusals,
    /// Stores a refusal although a stream has changed.
    IgnoresVersionsOfRefusals,
    /// Stores a refusal over a committed request.
    RefusesCommittedRequests,
    /// Commits a request that was refused.
    CommitsRefusedRequests,
    /// Stores none of the refusals of a call if one of them conflicts.
    RefusesAllOrNone,
    /// Does not forget refusals.
    KeepsRefusals,
    /// Stores events that are too large for the log.
    StoresLargeEvents,
    /// Reading a partition returns events of all partitions.
    MixesPartitions,
    /// Finds the next event where there is none at a position.
    FindsNearestEvent,
    /// Stores events although appends are suspended.
    IgnoresSuspension,
    /// A later reason of a suspension replaces the first one.
    ReplacesSuspensionReason,
}

#[derive(Default)]
struct State {
    last_transaction: u64,
    events: Vec<RecordedEvent>,
    requests: HashMap<RequestId, StoredRequest>,
    refused_at: HashMap<RequestId, Timestamp>,
    snapshots: HashMap<StreamId, Snapshot>,
    suspended_because: Option<String>,
}

impl State {
    fn version(&self, stream_id: &StreamId) -> Version {
        let versions = self.events.iter().filter(|event| event.stream_id == *stream_id).map(|event| event.version);
        versions.max().unwrap_or(Version::NONE)
    }

    fn conflicts(&self, units: &[AppendUnit]) -> Vec<Conflict> {
        let mut seen = Vec::new();
        let mut conflicts = Vec::new();
        for event in units.iter().flat_map(|unit| &unit.events) {
            if seen.contains(&&event.stream_id) {
                continue;
            }
            seen.push(&event.stream_id);
            let actual = self.version(&event.stream_id);
            if actual.next() != event.version {
                let expected = Version::new(event.version.number() - 1);
                conflicts.push(Conflict { stream_id: event.stream_id.clone(), expected, actual });
            }
        }
        conflicts
    }

    fn tail(
        &self,
        keep: impl Fn(&RecordedEvent) -> bool,
        cursor: Position,
        limit: usize,
        read_at: Timestamp,
    ) -> EventPage {
        let events: Vec<_> =
            self.events.iter().filter(|event| event.position > cursor && keep(event)).take(limit).cloned().collect();
        let end = self.events.last().map_or(cursor, |event| event.position.max(cursor));
        let complete_up_to = if events.len() < limit { end } else { events[limit - 1].position };
        EventPage { events, complete_up_to, read_at, held_back: None }
    }
}

struct MutantEventStore {
    mutation: Mutation,
    clock: Arc<ManualClock>,
    state: Mutex<State>,
}

impl MutantEventStore {
    fn new(mutation: Mutation, clock: Arc<ManualClock>) -> Self {
        Self { mutation, clock, state: Mutex::default() }
    }

    fn record(&self, state: &mut State, transaction: u64, units: &[AppendUnit]) -> (Vec<RecordedEvent>, Vec<Receipt>) {
        let recorded_at = self.clock.now();
        let (mut events, mut receipts, mut ordinal) = (Vec::new(), Vec::new(), 0);
        for unit in units {
            let mut streams = ReceiptStreams::default();
            for new in &unit.events {
                let position = Position::new(transaction, ordinal).unwrap();
                ordinal += 1;
                let (stream_id, partition, version) =
                    (new.stream_id.clone(), self.partitions().of(&new.stream_id), new.version);
                events.push(RecordedEvent {
                    position,
                    partition,
                    stream_id: stream_id.clone(),
                    version,
                    event_type: new.event_type.clone(),
                    payload: new.payload.clone(),
                    metadata: unit.metadata.clone(),
                    request_id: unit.request_id,
                    recorded_at,
                });
                streams.add_event(StreamReceipt { stream_id, partition, version, position });
            }
            let receipt =
                Receipt { request_id: unit.request_id, streams: streams.into_vec(), committed_at: recorded_at };
            let stored = StoredRequest::committed(unit.fingerprint, receipt.clone());
            state.requests.insert(unit.request_id, stored);
            receipts.push(receipt);
        }
        (events, receipts)
    }

    fn reject(&self, state: &mut State, units: &[AppendUnit]) -> Option<AppendOutcome> {
        let mut conflicts = state.conflicts(units);
        let stored = |unit: &AppendUnit| state.requests.get(&unit.request_id).cloned();
        let mut done: Vec<_> = units.iter().filter_map(stored).collect();
        match self.mutation {
            Mutation::IgnoresRequestIds => done.clear(),
            Mutation::ChangesReceipts => {
                for stored in &mut done {
                    if let StoredOutcome::Committed(receipt) = &mut stored.outcome {
                        receipt.committed_at = self.clock.now();
                    }
                }
            }
            Mutation::CommitsRefusedRequests => done.retain(|stored| stored.receipt().is_some()),
            Mutation::ReportsExpectedAsActual => {
                conflicts.iter_mut().for_each(|conflict| conflict.actual = conflict.expected);
            }
            _ => {}
        }
        if conflicts.is_empty() && done.is_empty() {
            return None;
        }
        if self.mutation == Mutation::StoresPartOfBatch && units.len() > 1 && self.reject(state, &units[..1]).is_none()
        {
            state.last_transaction += 1;
            let (events, _) = self.record(state, state.last_transaction, &units[..1]);
            state.events.extend(events);
        }
        Some(AppendOutcome::Rejected { conflicts, done })
    }
}

impl MutantEventStore {
    fn refusal_outcome(&self, state: &State, refusal: &RefusalUnit) -> RefusalOutcome {
        let done = state.requests.get(&refusal.request_id);
        let may_replace = self.mutation == Mutation::RefusesCommittedRequests;
        if let Some(done) = done.filter(|done| done.receipt().is_none() || !may_replace) {
            return RefusalOutcome::Done(done.clone());
        }
        let conflicts: Vec<_> = refusal
            .streams
            .iter()
            .map(|(stream_id, expected)| Conflict {
                stream_id: stream_id.clone(),
                expected: *expected,
                actual: state.version(stream_id),
            })
            .filter(|conflict| conflict.expected != conflict.actual)
            .collect();
        if conflicts.is_empty() || self.mutation == Mutation::IgnoresVersionsOfRefusals {
            return RefusalOutcome::Stored;
        }
        RefusalOutcome::Conflicts(conflicts)
    }
}

impl EventStore for MutantEventStore {
    fn partitions(&self) -> Partitions {
        Partitions::new(4).unwrap()
    }

    async fn append(&self, units: &[AppendUnit], snapshots: &[Snapshot]) -> PortResult<AppendOutcome> {
        if self.mutation != Mutation::StoresLargeEvents {
            AppendUnit::check_sizes(units)?;
        }
        let transaction = {
            let mut state = self.state.lock();
            state.last_transaction += 1;
            state.last_transaction
        };
        if self.mutation == Mutation::SkipsUndecidedEvents && transaction % 2 == 0 {
            yield_now().await;
            yield_now().await;
        }
        let mut state = self.state.lock();
        if let Some(reason) = state.suspended_because.clone().filter(|_| self.mutation != Mutation::IgnoresSuspension) {
            return Err(PortError::operator(reason));
        }
        if let Some(rejected) = self.reject(&mut state, units) {
            return Ok(rejected);
        }
        let (events, receipts) = self.record(&mut state, transaction, units);
        state.events.extend(events);
        state.events.sort_by_key(|event| event.position);
        for snapshot in snapshots {
            let kept = state.snapshots.entry(snapshot.stream_id.clone()).or_insert_with(|| snapshot.clone());
            if snapshot.version > kept.version || self.mutation == Mutation::AcceptsOlderSnapshots {
                *kept = snapshot.clone();
            }
        }
        Ok(AppendOutcome::Committed(receipts))
    }

    async fn take_turn(&self, _: &[Partition]) -> PortResult<Turn> {
        Ok(Turn::unrestricted())
    }

    async fn refuse(&self, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
        let mut state = self.state.lock();
        let mut outcomes: Vec<_> = refusals.iter().map(|refusal| self.refusal_outcome(&state, refusal)).collect();
        let some_conflict = outcomes.iter().any(|outcome| matches!(outcome, RefusalOutcome::Conflicts(_)));
        if some_conflict && self.mutation == Mutation::RefusesAllOrNone {
            outcomes.retain(|outcome| *outcome != RefusalOutcome::Stored);
            return Ok(outcomes);
        }
        for (refusal, outcome) in refusals.iter().zip(&outcomes) {
            if *outcome == RefusalOutcome::Stored && self.mutation != Mutation::DropsRefusals {
                let (request_id, fingerprint) = (refusal.request_id, refusal.fingerprint);
                let outcome = StoredOutcome::Refused(refusal.refusal.clone());
                state.requests.insert(request_id, StoredRequest { request_id, fingerprint, outcome });
                state.refused_at.insert(request_id, self.clock.now());
            }
        }
        Ok(outcomes)
    }

    async fn suspend_appends(&self, reason: &str) -> PortResult<()> {
        let mut state = self.state.lock();
        if state.suspended_because.is_none() || self.mutation == Mutation::ReplacesSuspensionReason {
            state.suspended_because = Some(reason.to_owned());
        }
        Ok(())
    }

    async fn load(&self, streams: &[StreamLoad], format: u32, requests: &[RequestId]) -> PortResult<Loaded> {
        let state = self.state.lock();
        let slice = |wanted: &StreamLoad| {
            let is_right = |snapshot: &&Snapshot| {
                wanted.known_version == Version::NONE
                    && (snapshot.format == format || self.mutation == Mutation::IgnoresSnapshotFormat)
            };
            let snapshot = state.snapshots.get(&wanted.stream_id).filter(is_right).cloned();
            let after = snapshot.as_ref().map_or(wanted.known_version, |snapshot| snapshot.version);
            let is_wanted = |event: &&RecordedEvent| event.stream_id == wanted.stream_id && event.version > after;
            let events = state.events.iter().filter(is_wanted).cloned().collect();
            StreamSlice { stream_id: wanted.stream_id.clone(), snapshot, events }
        };
        Ok(Loaded {
            streams: streams.iter().map(slice).collect(),
            requests: requests.iter().filter_map(|id| state.requests.get(id).cloned()).collect(),
        })
    }

    async fn read_after(&self, cursor_exclusive: Position, limit: usize) -> PortResult<EventPage> {
        let state = self.state.lock();
        let mut tail = state.tail(|_| true, cursor_exclusive, limit, self.clock.now());
        if self.mutation == Mutation::ReportsCompleteTooFar {
            tail.complete_up_to = state.tail(|_| true, cursor_exclusive, usize::MAX, tail.read_at).complete_up_to;
        }
        Ok(tail)
    }

    async fn read_partition_after(
        &self,
        partition: Partition,
        cursor_exclusive: Position,
        limit: usize,
    ) -> PortResult<EventPage> {
        let keep = |event: &RecordedEvent| event.partition == partition || self.mutation == Mutation::MixesPartitions;
        Ok(self.state.lock().tail(keep, cursor_exclusive, limit, self.clock.now()))
    }

    async fn find_event(&self, position: Position) -> PortResult<Option<EventIdentity>> {
        let state = self.state.lock();
        let found = state.events.iter().find(|event| match self.mutation {
            Mutation::FindsNearestEvent => event.position >= position,
            _ => event.position == position,
        });
        Ok(found.map(RecordedEvent::identity))
    }

    async fn read_stream_after(
        &self,
        stream_id: &StreamId,
        version_exclusive: Version,
        limit: usize,
    ) -> PortResult<Vec<RecordedEvent>> {
        let is_wanted = |event: &&RecordedEvent| event.stream_id == *stream_id && event.version > version_exclusive;
        Ok(self.state.lock().events.iter().filter(is_wanted).take(limit).cloned().collect())
    }

    async fn wait_for_events(&self, _: Position, _: Duration) {}

    async fn forget_requests(&self, recorded_before: Timestamp, limit: usize) -> PortResult<usize> {
        let mut state = self.state.lock();
        let is_old = |stored: &&StoredRequest| {
            let recorded_at = match stored.receipt() {
                Some(receipt) => receipt.committed_at,
                None if self.mutation == Mutation::KeepsRefusals => return false,
                None => state.refused_at.get(&stored.request_id).copied().unwrap(),
            };
            recorded_at < recorded_before || self.mutation == Mutation::ForgetsRecentRequests
        };
        let old: Vec<_> = state.requests.values().filter(is_old).take(limit).map(|stored| stored.request_id).collect();
        for request_id in &old {
            state.requests.remove(request_id);
            if self.mutation == Mutation::ForgetsEvents {
                state.events.retain(|event| event.request_id != *request_id);
            }
        }
        Ok(old.len())
    }
}

#[test]
fn the_correct_event_store_passes() {
    block_on(event_store::suite(&InMemoryTestEnv::new(|clock| MutantEventStore::new(Mutation::None, clock)), 1));
}

#[test]
fn the_correct_event_store_passes_with_faults() {
    for seed in 0..20 {
        let env = InMemoryTestEnv::new(|clock| MutantEventStore::new(Mutation::None, clock));
        let env = FaultyTestEnv::new(&env, FaultInjector::new(seed, 0.2), FaultyEventStore::new);
        block_on(with_seed(seed, event_store::suite(&env, seed)));
    }
}

/// Checks the fault injector itself: an append that was reported as unknown and was not done can happen later.
#[test]
fn an_unreported_append_can_happen_later() {
    let happens_late = |seed| {
        let env = Arc::new(MutantEventStore::new(Mutation::None, Arc::default()));
        let faults = FaultInjector::new(seed, 1.0);
        let faulty = FaultyEventStore::new(Arc::clone(&env), faults.clone());
        let unit = |name: &str| {
            let event = theatre::new_event(theatre::seat(name), Version::new(1), &theatre::Event::reserved("ada"));
            let request_id = RequestId::from_bytes([name.as_bytes()[0]; 16]);
            AppendUnit {
                request_id,
                fingerprint: Fingerprint::of(name, &[]),
                events: vec![event],
                metadata: EventMetadata::default(),
            }
        };
        block_on(faulty.append(&[unit("A1")], &[])).unwrap_err();
        let is_open = env.state.lock().events.is_empty();
        faults.disable();
        block_on(faulty.append(&[unit("B2")], &[])).unwrap();
        is_open && env.state.lock().events.len() == 2
    };
    let late_count = (0..200).filter(|seed| happens_late(*seed)).count();
    assert!((5..100).contains(&late_count), "{late_count} of 200");
}

#[test]
fn every_event_store_mutant_is_caught() {
    let mutations = [
        Mutation::StoresPartOfBatch,
        Mutation::IgnoresRequestIds,
        Mutation::ChangesReceipts,
        Mutation::SkipsUndecidedEvents,
        Mutation::ReportsCompleteTooFar,
        Mutation::ReportsExpectedAsActual,
        Mutation::AcceptsOlderSnapshots,
        Mutation::IgnoresSnapshotFormat,
        Mutation::ForgetsRecentRequests,
        Mutation::ForgetsEvents,
        Mutation::DropsRefusals,
        Mutation::IgnoresVersionsOfRefusals,
        Mutation::RefusesCommittedRequests,
        Mutation::CommitsRefusedRequests,
        Mutation::RefusesAllOrNone,
        Mutation::KeepsRefusals,
        Mutation::StoresLargeEvents,
        Mutation::MixesPartitions,
        Mutation::FindsNearestEvent,
        Mutation::IgnoresSuspension,
        Mutation::ReplacesSuspensionReason,
    ];
    for mutation in mutations {
        let suite = |env, seed| async move { event_store::suite(&env, seed).await };
        assert_caught(mutation, |clock| MutantEventStore::new(mutation, clock), suite);
    }
}
