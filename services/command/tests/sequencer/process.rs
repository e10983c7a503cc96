//! The fixture of the tests: a process with a sequencer, and the store behind it.

use std::{sync::Arc, time::Duration};

use diptych_command::{CommandError, CommandFuture, CommandHandle, SequencerConfig, StoredCommand, Submission, start};
use diptych_embedded::{EmbeddedEventStore, Storage};
use diptych_kernel::{
    EventMetadata, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    domain::Domain,
    ports::{AppendOutcome, AppendUnit, EventStore},
    testing::theatre::{Command, Event, Refusal, Theatre, new_event},
};
use diptych_runtime::{Shutdown, Tasks, TokioClock};
use rand::{Rng, rngs::SmallRng};
use uuid::Uuid;

use crate::probe::Probe;

pub(crate) type CommandResult = Result<StoredCommand, CommandError<Refusal>>;
pub(crate) type Store = Probe<EmbeddedEventStore>;

pub(crate) fn embedded() -> Arc<EmbeddedEventStore> {
    embedded_at(&Storage::Memory)
}

pub(crate) fn embedded_at(storage: &Storage) -> Arc<EmbeddedEventStore> {
    let clock = Arc::new(TokioClock::starting_at(start_of_time()));
    Arc::new(EmbeddedEventStore::open(storage, Partitions::new(4).unwrap(), clock).unwrap())
}

pub(crate) fn store() -> Arc<Store> {
    Arc::new(Probe::new(embedded()))
}

pub(crate) fn start_of_time() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

pub(crate) fn request_id(number: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn submission(id: u128, command: Command) -> Submission<Theatre> {
    Submission {
        request_id: request_id(id),
        fingerprint: command.fingerprint(),
        expected_version: None,
        command,
        metadata: EventMetadata::default(),
    }
}

/// A process: one sequencer on a store that others may share.
pub(crate) struct Process {
    pub(crate) handle: CommandHandle<Theatre>,
    pub(crate) tasks: Tasks,
}

impl Process {
    pub(crate) fn new<S: EventStore>(store: &Arc<S>) -> Self {
        Self::with(store, SequencerConfig::default())
    }

    pub(crate) fn with<S: EventStore>(store: &Arc<S>, config: SequencerConfig) -> Self {
        let tasks = Tasks::new(Shutdown::new());
        let handle = start(Arc::clone(store), config, &tasks);
        Self { handle, tasks }
    }

    pub(crate) fn submit(&self, id: u128, command: Command) -> CommandFuture<Theatre> {
        self.handle.try_submit(submission(id, command)).unwrap()
    }

    pub(crate) async fn run(&self, id: u128, command: Command) -> CommandResult {
        self.submit(id, command).await
    }

    pub(crate) async fn run_at(&self, id: u128, expected_version: u32, command: Command) -> CommandResult {
        let expected_version = Some(Version::new(expected_version));
        self.handle.try_submit(Submission { expected_version, ..submission(id, command) }).unwrap().await
    }

    /// Stops the process as a deployment would: queued commands are answered.
    pub(crate) async fn stop(self) {
        self.tasks.shutdown().begin();
        self.tasks.finish(Duration::from_secs(60)).await.unwrap();
    }
}

/// The version at which a command left its nth stream.
#[track_caller]
pub(crate) fn version_of(answer: &CommandResult, stream: usize) -> u32 {
    answer.as_ref().unwrap().receipt.streams[stream].version.number()
}

/// All events of a stream, which are dense from 1.
pub(crate) async fn events<S: EventStore>(store: &S, stream_id: &StreamId) -> Vec<RecordedEvent> {
    let events = store.read_stream_after(stream_id, Version::NONE, 100_000).await.unwrap();
    let versions: Vec<_> = events.iter().map(|event| event.version.number()).collect();
    assert_eq!(versions, (1..).take(events.len()).collect::<Vec<u32>>(), "versions of {stream_id} are dense");
    events
}

pub(crate) async fn history<S: EventStore>(store: &S, stream_id: &StreamId) -> Vec<Event> {
    let decode = |record: &RecordedEvent| Theatre::decode_event(&record.event_type, &record.payload).unwrap();
    events(store, stream_id).await.iter().map(decode).collect()
}

/// The number of events of a request.
pub(crate) async fn events_of_request<S: EventStore>(store: &S, id: u128) -> usize {
    let tail = store.read_after(Position::START, 1_000_000).await.unwrap();
    tail.events.iter().filter(|event| event.request_id == request_id(id)).count()
}

/// A unit as another process would append it.
pub(crate) fn unit(id: u128, command: &Command, events: &[(StreamId, u32, Event)]) -> AppendUnit {
    let events = events
        .iter()
        .map(|(stream_id, version, event)| new_event(stream_id.clone(), Version::new(*version), event))
        .collect();
    AppendUnit {
        request_id: request_id(id),
        fingerprint: command.fingerprint(),
        events,
        metadata: EventMetadata::default(),
    }
}

/// Stores a unit without a sequencer.
pub(crate) async fn store_directly<S: EventStore>(store: &S, unit: AppendUnit) {
    let outcome = store.append(&[unit], &[]).await.unwrap();
    assert!(matches!(outcome, AppendOutcome::Committed(_)), "{outcome:?}");
}

/// Returns whether each seat has one guest at a time. A decision on a stale state would show as a seat taken twice.
pub(crate) fn is_lawful(history: &[Event]) -> bool {
    let mut guest = None;
    history.iter().all(|event| match event {
        Event::SeatReserved { guest: new } | Event::SeatSwapped { guest: new } => guest.replace(new.clone()).is_none(),
        Event::SeatReleased { guest: old } => guest.take().as_ref() == Some(old),
    })
}

/// A random command on some of the seats, of which there are at least two.
pub(crate) fn random_command(random: &mut SmallRng, seats: &[&str], guest: &str) -> Command {
    let first = random.random_range(0..seats.len());
    let second = (first + random.random_range(1..seats.len())) % seats.len();
    match random.random_range(0..3) {
        0 => Command::reserve(seats[first], guest),
        1 => Command::release(seats[first]),
        _ => Command::swap(seats[first], seats[second]),
    }
}
