//! A run of concurrent writers and readers, which compares what was read with what is stored.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    env,
    sync::Arc,
    time::Duration,
};

use diptych_kernel::{
    Fingerprint, NewEvent, Position, RecordedEvent, RequestId, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, EventStore, PortError, PortResult, Remedy},
};
use futures::future::{join, try_join_all};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Maximum number of attempts for a call that fails and can be retried.
const ATTEMPTS_MAX: usize = 1_000;

/// Time that a reader at the end of the table waits for events before it reads again.
const READ_WAIT_MAX: Duration = Duration::from_millis(20);

/// The number of streams of each writer, and of streams that all writers contend for.
const OWN_STREAMS: usize = 4;
const SHARED_STREAMS: usize = 4;

/// The size of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissedEventsRun {
    /// The least number of events that are stored.
    pub events: usize,
    /// The largest number of units in a batch, from 1. Half as many on average, of one to three events each.
    pub batch_units_max: usize,
    /// The largest number of events that a reader requests, from 1.
    pub read_events_max: usize,
    /// Seed of the batches. The same seed gives the same batches of the same streams; the order of their commits is up
    /// to the server. Every run on the same database needs another seed.
    pub seed: u32,
}

impl Default for MissedEventsRun {
    /// A small run of a few seconds.
    fn default() -> Self {
        Self { events: 4_000, batch_units_max: 16, read_events_max: 1_000, seed: 1 }
    }
}

impl MissedEventsRun {
    /// A run with `DIPTYCH_MISSED_EVENTS_RUN_SIZE` events, or a small one if that is not set.
    ///
    /// # Panics
    /// When the variable is not a number.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a panic here is the report of a test")]
    pub fn from_env() -> Self {
        let wanted = env::var("DIPTYCH_MISSED_EVENTS_RUN_SIZE").ok();
        let events = wanted.map(|text| text.parse().expect("DIPTYCH_MISSED_EVENTS_RUN_SIZE is a number"));
        let default = Self::default();
        Self { events: events.unwrap_or(default.events), ..default }
    }
}

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MissedEventsReport {
    /// Events that are stored.
    pub stored: usize,
    /// Events that were delivered, over all readers.
    pub delivered: usize,
    /// Events that are stored and were not delivered, over all readers.
    pub missed: usize,
    /// Events that were delivered to a reader again.
    pub duplicated: usize,
    /// Events that were delivered after a later one.
    pub out_of_order: usize,
    /// Events that were delivered and are not stored with that request id.
    pub phantoms: usize,
    /// Events that an append acknowledged and are not stored with that request id.
    pub lost: usize,
    /// Events that are stored and were acknowledged by no append.
    pub unacknowledged: usize,
    /// Events whose version is not one more than that of the previous event of their stream, in the order of positions.
    pub version_gaps: usize,
}

impl MissedEventsReport {
    /// Returns whether the run found no fault.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self {
            stored: _,
            delivered: _,
            missed,
            duplicated,
            out_of_order,
            phantoms,
            lost,
            unacknowledged,
            version_gaps,
        } = self;
        missed + duplicated + out_of_order + phantoms + lost + unacknowledged + version_gaps == 0
    }
}

/// Writes batches with every handle in `writers`, to streams of its own and to shared ones, while every handle in
/// `readers` reads from the end of the table in pages of random size. Then everything is read once more, and sets and
/// order are compared.
///
/// Most useful on a database where [`delay_commits`](super::delay_commits) was called, and with one handle per writer
/// and reader.
///
/// # Errors
/// When there is no reader, or a handle fails with an error that a retry does not mend, or fails too often.
pub async fn find_missed_events<S: EventStore>(
    writers: &[Arc<S>],
    readers: &[Arc<S>],
    run: &MissedEventsRun,
) -> PortResult<MissedEventsReport> {
    let Some(verifier) = readers.first() else {
        return Err(PortError::operator("a run needs at least one reader"));
    };
    let start = end_of(&**verifier).await?;
    let state = RunState {
        active_writers: Cell::new(writers.len()),
        acknowledged: RefCell::default(),
        last_acknowledged: Cell::new(start),
        events_each: run.events.div_ceil(writers.len().max(1)),
        run,
    };
    let write = try_join_all((0..).zip(writers).map(|(number, store)| write(&**store, number, &state)));
    let read = try_join_all((0..).zip(readers).map(|(number, store)| follow(&**store, number, start, &state)));
    let (delivered, written) = join(read, write).await;
    written?;
    let stored = read_all(&**verifier, start, state.last_acknowledged.get()).await?;
    Ok(compare(&stored, &delivered?, &state.acknowledged.into_inner()))
}

/// The state that writers and readers share. All of them run in one task.
struct RunState<'a> {
    active_writers: Cell<usize>,
    acknowledged: RefCell<HashMap<Position, RequestId>>,
    /// The last position that was acknowledged.
    last_acknowledged: Cell<Position>,
    events_each: usize,
    run: &'a MissedEventsRun,
}

/// Position and request id of an event.
type EventKey = (Position, RequestId);

struct Writer<'a> {
    /// Unique over all runs.
    number: u64,
    rng: SmallRng,
    requests: u64,
    /// Its own streams, then the shared ones, each with the last version that this writer knows.
    streams: Vec<(StreamId, u32)>,
    state: &'a RunState<'a>,
}

async fn write<S: EventStore>(store: &S, number: u64, state: &RunState<'_>) -> PortResult<()> {
    let seed = state.run.seed;
    let own = (0..OWN_STREAMS).map(|index| format!("missed-events-{seed}-{number}-{index}"));
    let shared = (0..SHARED_STREAMS).map(|index| format!("missed-events-{seed}-shared-{index}"));
    let streams = own.chain(shared).map(|name| {
        let stream_id =
            StreamId::new(&name).map_err(|error| PortError::operator("invalid stream name").caused_by(error))?;
        Ok::<_, PortError>((stream_id, 0))
    });
    let streams = streams.collect::<PortResult<Vec<_>>>()?;
    let number = (number << 32) | u64::from(seed);
    let rng = SmallRng::seed_from_u64(number);
    let mut writer = Writer { number, rng, requests: 0, streams, state };
    let mut stored = 0;
    while stored < state.events_each {
        stored += writer.store_batch(store).await?;
    }
    state.active_writers.set(state.active_writers.get() - 1);
    Ok(())
}

impl Writer<'_> {
    /// Stores a batch, or updates the known versions after a conflict. Returns the number of events that it stored.
    async fn store_batch<S: EventStore>(&mut self, store: &S) -> PortResult<usize> {
        let units = self.batch();
        for _ in 0..ATTEMPTS_MAX {
            match store.append(&units, &[]).await {
                Ok(AppendOutcome::Committed(_)) => return self.record_stored(store, &units).await,
                // An earlier attempt of unknown outcome was committed.
                Ok(AppendOutcome::Rejected { done, .. }) if done.len() == units.len() => {
                    return self.record_stored(store, &units).await;
                }
                Ok(AppendOutcome::Rejected { conflicts, .. }) => {
                    for conflict in conflicts {
                        self.set_version(&conflict.stream_id, conflict.actual);
                    }
                    return Ok(0);
                }
                Err(error) if error.remedy() == Remedy::Retry => {}
                Err(error) => return Err(error),
            }
        }
        Err(PortError::unknown(format!("an append failed {ATTEMPTS_MAX} times")))
    }

    fn batch(&mut self) -> Vec<AppendUnit> {
        let mut versions: Vec<u32> = self.streams.iter().map(|(_, version)| *version).collect();
        // Most batches use the writer's own streams only: concurrent writers of one stream mostly cause conflicts.
        let streams = if self.rng.random_ratio(1, 8) { versions.len() } else { OWN_STREAMS };
        let units = self.rng.random_range(1..=self.state.run.batch_units_max.max(1));
        (0..units).map(|_| self.unit(&mut versions, streams)).collect()
    }

    fn unit(&mut self, versions: &mut [u32], streams: usize) -> AppendUnit {
        self.requests += 1;
        let mut id = [0_u8; 16];
        id[..8].copy_from_slice(&self.number.to_be_bytes());
        id[8..].copy_from_slice(&self.requests.to_be_bytes());
        let events = (0..self.rng.random_range(1..=3)).map(|_| {
            let chosen = self.rng.random_range(0..streams);
            versions[chosen] += 1;
            NewEvent {
                stream_id: self.streams[chosen].0.clone(),
                version: Version::new(versions[chosen]),
                event_type: "testing.event.v1.Happened".into(),
                payload: id.to_vec().into(),
            }
        });
        let events = events.collect();
        let fingerprint = Fingerprint::of("missed_events", &id);
        AppendUnit { request_id: RequestId::from_bytes(id), fingerprint, events, metadata: Default::default() }
    }

    /// Records a stored batch from its receipts.
    async fn record_stored<S: EventStore>(&mut self, store: &S, units: &[AppendUnit]) -> PortResult<usize> {
        let ids: Vec<RequestId> = units.iter().map(|unit| unit.request_id).collect();
        let loaded = with_retries(|| store.load(&[], 0, &ids)).await?;
        let mut receipts: HashMap<_, _> =
            loaded.requests.iter().filter_map(|stored| Some((stored.request_id, stored.receipt()?.clone()))).collect();
        let mut stored = 0;
        for unit in units {
            let receipt = receipts.remove(&unit.request_id);
            let receipt = receipt.ok_or_else(|| PortError::operator("an acknowledged request was not found"))?;
            let last = receipt.streams.iter().map(|stream| stream.position).max().unwrap_or_default();
            let count = i64::try_from(unit.events.len()).unwrap_or(i64::MAX);
            for (back, event) in (0..count).rev().zip(&unit.events) {
                // The events of a unit have consecutive positions.
                let position = Position::from_i64(last.as_i64() - back).unwrap_or_default();
                self.state.acknowledged.borrow_mut().insert(position, unit.request_id);
                self.set_version(&event.stream_id, event.version);
            }
            self.state.last_acknowledged.set(self.state.last_acknowledged.get().max(last));
            stored += unit.events.len();
        }
        Ok(stored)
    }

    fn set_version(&mut self, stream_id: &StreamId, version: Version) {
        if let Some(known) = self.streams.iter_mut().find(|known| known.0 == *stream_id) {
            known.1 = version.number();
        }
    }
}

/// Reads until the writers have finished and everything that was acknowledged has been read.
async fn follow<S: EventStore>(
    store: &S,
    number: u64,
    start: Position,
    state: &RunState<'_>,
) -> PortResult<Vec<EventKey>> {
    let mut rng = SmallRng::seed_from_u64(!u64::from(state.run.seed) ^ (number << 32));
    let (mut delivered, mut cursor) = (Vec::new(), start);
    loop {
        let is_over = state.active_writers.get() == 0;
        if is_over && cursor >= state.last_acknowledged.get() {
            return Ok(delivered);
        }
        let limit = rng.random_range(1..=state.run.read_events_max.max(1));
        let tail = with_retries(|| store.read_after(cursor, limit)).await?;
        if tail.events.is_empty() {
            store.wait_for_events(cursor, READ_WAIT_MAX).await;
        }
        delivered.extend(tail.events.iter().map(key));
        cursor = tail.complete_up_to;
    }
}

fn key(event: &RecordedEvent) -> EventKey {
    (event.position, event.request_id)
}

async fn end_of<S: EventStore>(store: &S) -> PortResult<Position> {
    let mut cursor = Position::START;
    loop {
        let tail = with_retries(|| store.read_after(cursor, 10_000)).await?;
        cursor = tail.complete_up_to;
        if tail.events.is_empty() {
            return Ok(cursor);
        }
    }
}

/// Reads everything after `start` up to `end`, when all writers have finished.
async fn read_all<S: EventStore>(store: &S, start: Position, end: Position) -> PortResult<Vec<RecordedEvent>> {
    let (mut all, mut cursor) = (Vec::new(), start);
    while cursor < end {
        let tail = with_retries(|| store.read_after(cursor, 10_000)).await?;
        all.extend(tail.events);
        cursor = tail.complete_up_to;
    }
    Ok(all)
}

async fn with_retries<T, F: Future<Output = PortResult<T>>>(call: impl Fn() -> F) -> PortResult<T> {
    for _ in 0..ATTEMPTS_MAX {
        match call().await {
            Err(error) if error.remedy() == Remedy::Retry => {}
            answer => return answer,
        }
    }
    Err(PortError::not_done(format!("a read failed {ATTEMPTS_MAX} times")))
}

fn compare(
    stored: &[RecordedEvent],
    delivered: &[Vec<EventKey>],
    acknowledged: &HashMap<Position, RequestId>,
) -> MissedEventsReport {
    let by_position: HashMap<Position, RequestId> = stored.iter().map(key).collect();
    let mut report = MissedEventsReport { stored: stored.len(), ..MissedEventsReport::default() };
    for of_reader in delivered {
        let mut read: HashMap<Position, RequestId> = HashMap::with_capacity(of_reader.len());
        let mut before = Position::START;
        for (position, request_id) in of_reader {
            report.delivered += 1;
            report.duplicated += usize::from(read.insert(*position, *request_id).is_some());
            report.out_of_order += usize::from(*position < before);
            report.phantoms += usize::from(by_position.get(position) != Some(request_id));
            before = *position;
        }
        report.missed += by_position.keys().filter(|position| !read.contains_key(position)).count();
    }
    report.lost = acknowledged.iter().filter(|(position, id)| by_position.get(position) != Some(id)).count();
    report.unacknowledged = by_position.keys().filter(|position| !acknowledged.contains_key(position)).count();
    let mut versions: HashMap<&StreamId, u32> = HashMap::new();
    for event in stored {
        let before = versions.insert(&event.stream_id, event.version.number()).unwrap_or_default();
        report.version_gaps += usize::from(event.version.number() != before + 1);
    }
    report
}
