//! Writers and readers at the same time, and then the comparison.

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

/// How often a call is repeated that failed and may be repeated.
const ATTEMPTS_MAX: usize = 1_000;

/// How long a reader that has nothing to read waits before it reads again all the same.
const PATIENCE: Duration = Duration::from_millis(20);

/// Streams that belong to one writer, and streams that all writers contend for.
const OWN_STREAMS: usize = 4;
const COMMON_STREAMS: usize = 4;

/// The size of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoneMissed {
    /// How many events are stored, at least.
    pub events: usize,
    /// How many units a batch has at most, from 1. Half as many on average, of one to three events.
    pub batch_units_max: usize,
    /// How many events a reader asks for at most, from 1.
    pub read_events_max: usize,
    /// The same seed makes the same batches of the same streams; when they are committed is up to the server. A second run on the same
    /// database needs another one.
    pub seed: u32,
}

impl Default for NoneMissed {
    /// A small run, of a few seconds.
    fn default() -> Self {
        Self { events: 4_000, batch_units_max: 16, read_events_max: 1_000, seed: 1 }
    }
}

impl NoneMissed {
    /// A small run, or one with `DIPTYCH_NONE_MISSED_EVENTS` events.
    ///
    /// # Panics
    /// When the variable is not a number.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a panic here is the report of a test")]
    pub fn from_env() -> Self {
        let wanted = env::var("DIPTYCH_NONE_MISSED_EVENTS").ok();
        let events = wanted.map(|text| text.parse().expect("DIPTYCH_NONE_MISSED_EVENTS is a number"));
        let default = Self::default();
        Self { events: events.unwrap_or(default.events), ..default }
    }
}

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoneMissedReport {
    /// Events that are stored.
    pub stored: usize,
    /// Events that a reader was told of, over all readers.
    pub told: usize,
    /// Events that are stored and that a reader was not told of, over all readers.
    pub missed: usize,
    /// Events that a reader was told of again.
    pub doubled: usize,
    /// Events that a reader was told of after a later one.
    pub out_of_order: usize,
    /// Events that a reader was told of and that are not stored so.
    pub false_alarms: usize,
    /// Events that an append acknowledged and that are not stored so.
    pub lost: usize,
    /// Events that are stored and that no append acknowledged.
    pub unclaimed: usize,
    /// Events whose version is not one more than that of the event before them in their stream, in the order of positions.
    pub torn: usize,
}

impl NoneMissedReport {
    /// Whether all is as it has to be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { stored: _, told: _, missed, doubled, out_of_order, false_alarms, lost, unclaimed, torn } = self;
        missed + doubled + out_of_order + false_alarms + lost + unclaimed + torn == 0
    }
}

/// Lets every handle in `writers` write batches, to streams of its own and to some that all contend for, while every handle in `readers` follows
/// from the end of the table in pieces of random size. Then everything is read once more, and compared: sets and order.
///
/// Best on a database where [`delay_commits`](super::delay_commits) was called, and with a handle per writer and reader.
///
/// # Errors
/// When a handle fails and says that repeating does not help, or fails too often.
pub async fn none_missed<S: EventStore>(
    writers: &[Arc<S>],
    readers: &[Arc<S>],
    run: &NoneMissed,
) -> PortResult<NoneMissedReport> {
    let Some(auditor) = readers.first() else {
        return Err(PortError::operator("a run without a reader shows nothing"));
    };
    let start = end_of(&**auditor).await?;
    let stage = Stage {
        writing: Cell::new(writers.len()),
        acknowledged: RefCell::default(),
        last: Cell::new(start),
        events_each: run.events.div_ceil(writers.len().max(1)),
        run,
    };
    let write = try_join_all((0..).zip(writers).map(|(number, store)| write(&**store, number, &stage)));
    let read = try_join_all((0..).zip(readers).map(|(number, store)| follow(&**store, number, start, &stage)));
    let (told, written) = join(read, write).await;
    written?;
    let stored = read_all(&**auditor, start, stage.last.get()).await?;
    Ok(compare(&stored, &told?, &stage.acknowledged.into_inner()))
}

/// What writers and readers share. All of them run in one task.
struct Stage<'a> {
    writing: Cell<usize>,
    acknowledged: RefCell<HashMap<Position, RequestId>>,
    /// The last position that was acknowledged.
    last: Cell<Position>,
    events_each: usize,
    run: &'a NoneMissed,
}

/// What a reader keeps of an event.
type Seen = (Position, RequestId);

struct Writer<'a> {
    /// Its own, over all runs.
    number: u64,
    dice: SmallRng,
    requests: u64,
    /// Its own streams, then the common ones, each with the version that it knows.
    streams: Vec<(StreamId, u32)>,
    stage: &'a Stage<'a>,
}

async fn write<S: EventStore>(store: &S, number: u64, stage: &Stage<'_>) -> PortResult<()> {
    let seed = stage.run.seed;
    let own = (0..OWN_STREAMS).map(|index| format!("none-missed-{seed}-{number}-{index}"));
    let common = (0..COMMON_STREAMS).map(|index| format!("none-missed-{seed}-common-{index}"));
    let streams = own.chain(common).map(|name| {
        let stream_id =
            StreamId::new(&name).map_err(|error| PortError::operator("a stream's name").caused_by(error))?;
        Ok::<_, PortError>((stream_id, 0))
    });
    let streams = streams.collect::<PortResult<Vec<_>>>()?;
    let number = (number << 32) | u64::from(seed);
    let dice = SmallRng::seed_from_u64(number);
    let mut writer = Writer { number, dice, requests: 0, streams, stage };
    let mut stored = 0;
    while stored < stage.events_each {
        stored += writer.store_batch(store).await?;
    }
    stage.writing.set(stage.writing.get() - 1);
    Ok(())
}

impl Writer<'_> {
    /// Stores a batch, or learns what the others have done. Returns how many events it stored.
    async fn store_batch<S: EventStore>(&mut self, store: &S) -> PortResult<usize> {
        let units = self.batch();
        for _ in 0..ATTEMPTS_MAX {
            match store.append(&units, &[]).await {
                Ok(AppendOutcome::Committed(_)) => return self.learn_stored(store, &units).await,
                // An attempt before was done after all.
                Ok(AppendOutcome::Rejected { done, .. }) if done.len() == units.len() => {
                    return self.learn_stored(store, &units).await;
                }
                Ok(AppendOutcome::Rejected { conflicts, .. }) => {
                    for conflict in conflicts {
                        self.learn(&conflict.stream_id, conflict.actual);
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
        // Most batches keep to the writer's own streams: many writers of one stream mostly turn each other away.
        let streams = if self.dice.random_ratio(1, 8) { versions.len() } else { OWN_STREAMS };
        let units = self.dice.random_range(1..=self.stage.run.batch_units_max.max(1));
        (0..units).map(|_| self.unit(&mut versions, streams)).collect()
    }

    fn unit(&mut self, versions: &mut [u32], streams: usize) -> AppendUnit {
        self.requests += 1;
        let mut id = [0_u8; 16];
        id[..8].copy_from_slice(&self.number.to_be_bytes());
        id[8..].copy_from_slice(&self.requests.to_be_bytes());
        let events = (0..self.dice.random_range(1..=3)).map(|_| {
            let chosen = self.dice.random_range(0..streams);
            versions[chosen] += 1;
            NewEvent {
                stream_id: self.streams[chosen].0.clone(),
                version: Version::new(versions[chosen]),
                event_type: "testing.event.v1.Happened".into(),
                payload: id.to_vec().into(),
            }
        });
        let events = events.collect();
        let fingerprint = Fingerprint::of("none_missed", &id);
        AppendUnit { request_id: RequestId::from_bytes(id), fingerprint, events, metadata: Default::default() }
    }

    /// Notes a batch that was stored, by its receipts.
    async fn learn_stored<S: EventStore>(&mut self, store: &S, units: &[AppendUnit]) -> PortResult<usize> {
        let ids: Vec<RequestId> = units.iter().map(|unit| unit.request_id).collect();
        let loaded = ask(|| store.load(&[], 0, &ids)).await?;
        let mut receipts: HashMap<_, _> =
            loaded.requests.into_iter().map(|stored| (stored.receipt.request_id, stored.receipt)).collect();
        let mut stored = 0;
        for unit in units {
            let receipt = receipts.remove(&unit.request_id);
            let receipt = receipt.ok_or_else(|| PortError::operator("an acknowledged request cannot be found"))?;
            let last = receipt.streams.iter().map(|stream| stream.position).max().unwrap_or_default();
            let count = i64::try_from(unit.events.len()).unwrap_or(i64::MAX);
            for (back, event) in (0..count).rev().zip(&unit.events) {
                // The events of a unit have consecutive positions.
                let position = Position::from_i64(last.as_i64() - back).unwrap_or_default();
                self.stage.acknowledged.borrow_mut().insert(position, unit.request_id);
                self.learn(&event.stream_id, event.version);
            }
            self.stage.last.set(self.stage.last.get().max(last));
            stored += unit.events.len();
        }
        Ok(stored)
    }

    fn learn(&mut self, stream_id: &StreamId, version: Version) {
        if let Some(known) = self.streams.iter_mut().find(|known| known.0 == *stream_id) {
            known.1 = version.number();
        }
    }
}

/// Reads on until the writers are done and everything that was acknowledged is behind.
async fn follow<S: EventStore>(store: &S, number: u64, start: Position, stage: &Stage<'_>) -> PortResult<Vec<Seen>> {
    let mut dice = SmallRng::seed_from_u64(!u64::from(stage.run.seed) ^ (number << 32));
    let (mut told, mut cursor) = (Vec::new(), start);
    loop {
        let is_over = stage.writing.get() == 0;
        if is_over && cursor >= stage.last.get() {
            return Ok(told);
        }
        let limit = dice.random_range(1..=stage.run.read_events_max.max(1));
        let tail = ask(|| store.read_after(cursor, limit)).await?;
        if tail.events.is_empty() {
            store.wait_for_events(cursor, PATIENCE).await;
        }
        told.extend(tail.events.iter().map(seen));
        cursor = tail.complete_up_to;
    }
}

fn seen(event: &RecordedEvent) -> Seen {
    (event.position, event.request_id)
}

async fn end_of<S: EventStore>(store: &S) -> PortResult<Position> {
    let mut cursor = Position::START;
    loop {
        let tail = ask(|| store.read_after(cursor, 10_000)).await?;
        cursor = tail.complete_up_to;
        if tail.events.is_empty() {
            return Ok(cursor);
        }
    }
}

/// Everything after a position and up to another one, when nobody writes any more.
async fn read_all<S: EventStore>(store: &S, start: Position, end: Position) -> PortResult<Vec<RecordedEvent>> {
    let (mut all, mut cursor) = (Vec::new(), start);
    while cursor < end {
        let tail = ask(|| store.read_after(cursor, 10_000)).await?;
        all.extend(tail.events);
        cursor = tail.complete_up_to;
    }
    Ok(all)
}

async fn ask<T, F: Future<Output = PortResult<T>>>(call: impl Fn() -> F) -> PortResult<T> {
    for _ in 0..ATTEMPTS_MAX {
        match call().await {
            Err(error) if error.remedy() == Remedy::Retry => {}
            answer => return answer,
        }
    }
    Err(PortError::not_done(format!("a question failed {ATTEMPTS_MAX} times")))
}

fn compare(
    stored: &[RecordedEvent],
    told: &[Vec<Seen>],
    acknowledged: &HashMap<Position, RequestId>,
) -> NoneMissedReport {
    let truth: HashMap<Position, RequestId> = stored.iter().map(seen).collect();
    let mut report = NoneMissedReport { stored: stored.len(), ..NoneMissedReport::default() };
    for told in told {
        let mut known: HashMap<Position, RequestId> = HashMap::with_capacity(told.len());
        let mut before = Position::START;
        for (position, request_id) in told {
            report.told += 1;
            report.doubled += usize::from(known.insert(*position, *request_id).is_some());
            report.out_of_order += usize::from(*position < before);
            report.false_alarms += usize::from(truth.get(position) != Some(request_id));
            before = *position;
        }
        report.missed += truth.keys().filter(|position| !known.contains_key(position)).count();
    }
    report.lost = acknowledged.iter().filter(|(position, id)| truth.get(position) != Some(id)).count();
    report.unclaimed = truth.keys().filter(|position| !acknowledged.contains_key(position)).count();
    let mut versions: HashMap<&StreamId, u32> = HashMap::new();
    for event in stored {
        let before = versions.insert(&event.stream_id, event.version.number()).unwrap_or_default();
        report.torn += usize::from(event.version.number() != before + 1);
    }
    report
}
