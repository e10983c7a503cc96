//! The test harness: embedded stores, appends to them, and projectors run on them.

use std::{cell::Cell, future::Future, sync::Arc, time::Duration};

use diptych_embedded::{
    CACHE_BYTES_DEFAULT, EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore, Storage,
};
use diptych_kernel::{
    Clock, EventMetadata, Fingerprint, NewEvent, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId,
    Timestamp, Version,
    domain::Domain,
    ports::{
        AppendOutcome, AppendUnit, EventLog, EventStore, LogEntry, Progress, ProgressStore, ProgressUpdate, ViewCache,
        ViewStore, Watermark,
    },
    testing::theatre::{self, Event, Theatre, new_event},
};
use diptych_projector::{Ports, ProjectorConfig, run};
use diptych_runtime::{Shutdown, TokioClock};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

const GROUP: &str = "projectors";
/// More than any test stores.
const EVENTS_MAX: usize = 100_000;
/// Timeout of waits, in Tokio's paused time.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// The maximum number of checks of a wait.
const CHECKS_MAX: usize = 100_000;

pub(crate) struct ProjectorHarness {
    pub(crate) events: Arc<EmbeddedEventStore>,
    pub(crate) log: Arc<EmbeddedEventLog>,
    pub(crate) views: Arc<EmbeddedViewStore>,
    pub(crate) cache: Arc<EmbeddedViewCache>,
    clock: Arc<TokioClock>,
    requests: Cell<u128>,
}

type PortsWithEvents<S> = Ports<S, EmbeddedEventLog, EmbeddedViewStore, EmbeddedViewStore, EmbeddedViewCache>;

pub(crate) type EmbeddedPorts = PortsWithEvents<EmbeddedEventStore>;

pub(crate) fn partitions() -> Partitions {
    Partitions::new(3).unwrap()
}

pub(crate) fn partition(number: u16) -> Partition {
    Partition::new(number)
}

/// The `number`th seat of a partition.
pub(crate) fn seat(partition: u16, number: usize) -> StreamId {
    let seats = (0..).map(|number| theatre::seat(&number.to_string()));
    seats.filter(|seat| partitions().of(seat).number() == partition).nth(number).unwrap()
}

pub(crate) fn config(member: &str) -> ProjectorConfig {
    ProjectorConfig::new(GROUP, member)
}

impl ProjectorHarness {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000)));
        Self {
            events: Arc::new(EmbeddedEventStore::open(&Storage::Memory, partitions(), clock.clone()).unwrap()),
            log: Arc::new(EmbeddedEventLog::open(&Storage::Memory, partitions(), clock.clone()).unwrap()),
            views: Arc::new(EmbeddedViewStore::open(&Storage::Memory, partitions(), clock.clone()).unwrap()),
            cache: Arc::new(EmbeddedViewCache::new(CACHE_BYTES_DEFAULT)),
            clock,
            requests: Cell::new(0),
        }
    }

    /// Replaces the log by an empty one.
    pub(crate) fn recreate_log(&mut self) {
        self.log = Arc::new(EmbeddedEventLog::open(&Storage::Memory, partitions(), self.clock.clone()).unwrap());
    }

    /// Replaces the read database and the cache by empty ones.
    pub(crate) fn recreate_read_side(&mut self) {
        self.views = Arc::new(EmbeddedViewStore::open(&Storage::Memory, partitions(), self.clock.clone()).unwrap());
        self.cache = Arc::new(EmbeddedViewCache::new(CACHE_BYTES_DEFAULT));
    }

    pub(crate) fn ports(&self) -> EmbeddedPorts {
        Ports {
            events: Arc::clone(&self.events),
            log: Arc::clone(&self.log),
            views: Arc::clone(&self.views),
            progress: Arc::clone(&self.views),
            cache: Arc::clone(&self.cache),
        }
    }

    /// The ports with another write database.
    pub(crate) fn ports_with_events<S>(&self, events: &Arc<S>) -> PortsWithEvents<S> {
        let EmbeddedPorts { log, views, progress, cache, .. } = self.ports();
        Ports { events: Arc::clone(events), log, views, progress, cache }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// All events, in order.
    pub(crate) async fn all_events(&self) -> Vec<RecordedEvent> {
        self.events.read_after(Position::START, EVENTS_MAX).await.unwrap().events
    }

    async fn version(&self, seat: &StreamId) -> Version {
        let events = self.events.read_stream_after(seat, Version::NONE, EVENTS_MAX).await.unwrap();
        events.last().map(|event| event.version).unwrap_or_default()
    }

    /// Stores events of one command without publishing them to the log.
    pub(crate) async fn store(&self, events: &[(&StreamId, Event)]) -> Vec<RecordedEvent> {
        let mut new: Vec<NewEvent> = Vec::new();
        for (seat, event) in events {
            let last = new.iter().rev().find(|before| before.stream_id == **seat).map(|before| before.version);
            let version = match last {
                Some(version) => version,
                None => self.version(seat).await,
            };
            new.push(new_event((*seat).clone(), version.next(), event));
        }
        self.store_new(new).await
    }

    pub(crate) async fn store_new(&self, events: Vec<NewEvent>) -> Vec<RecordedEvent> {
        let before = self.all_events().await.last().map(|event| event.position).unwrap_or_default();
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let unit = AppendUnit {
            request_id: RequestId::from_uuid(Uuid::from_u128(number)),
            fingerprint: Fingerprint::of("harness", &number.to_be_bytes()),
            events,
            metadata: EventMetadata::default(),
        };
        let outcome = self.events.append(&[unit], &[]).await.unwrap();
        assert!(matches!(outcome, AppendOutcome::Committed(_)), "{outcome:?}");
        self.events.read_after(before, EVENTS_MAX).await.unwrap().events
    }

    /// Stores an event that the theatre cannot decode.
    pub(crate) async fn store_unknown(&self, seat: &StreamId) -> Vec<RecordedEvent> {
        let version = self.version(seat).await.next();
        self.store_new(vec![theatre::unknown_event(seat.clone(), version)]).await
    }

    pub(crate) async fn publish(&self, events: &[RecordedEvent]) {
        let entries: Vec<LogEntry> = events.iter().cloned().map(LogEntry::Event).collect();
        self.log.append(&entries).await.unwrap();
    }

    /// Stores events of one command and publishes them to the log.
    pub(crate) async fn append_and_publish(&self, events: &[(&StreamId, Event)]) -> Vec<RecordedEvent> {
        let stored = self.store(events).await;
        self.publish(&stored).await;
        stored
    }

    /// Publishes a watermark, as a relay does for an idle partition.
    pub(crate) async fn watermark(&self, partition: Partition) -> Watermark {
        let all = self.all_events().await;
        let position = all.last().map(|event| event.position).unwrap_or_default();
        let of_partition = all.iter().rev().find(|event| event.partition == partition);
        let last_event = of_partition.map(|event| event.position).unwrap_or_default();
        let watermark = Watermark { position, as_of: self.now(), last_event };
        self.log.append(&[LogEntry::Watermark(partition, watermark)]).await.unwrap();
        watermark
    }

    /// Runs a projector during a scenario, and then drops it.
    pub(crate) async fn project<T>(&self, scenario: impl Future<Output = T>) -> T {
        run_projector_during::<Theatre, _, _, _, _, _, _>(self.ports(), config("one"), scenario).await
    }

    /// Runs a projector until the views contain all stored events, and then drops it.
    pub(crate) async fn project_all(&self) {
        self.project(self.wait_until_projected::<Theatre>()).await;
    }

    /// Waits until a condition holds, checked at every change of the views' progress and every 100 ms.
    pub(crate) async fn wait_until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let (mut seen, deadline) = (0, Instant::now() + WAIT_MAX);
        for _ in 0..CHECKS_MAX {
            if holds().await {
                return;
            }
            assert!(Instant::now() < deadline, "timed out waiting until {what}: {:#?}", self.progress_report().await);
            self.views.wait_for_change(&mut seen, Duration::from_millis(100)).await;
        }
        panic!("gave up waiting until {what}");
    }

    /// The progress of the theatre's views, for the message of a failed wait.
    async fn progress_report(&self) -> Vec<String> {
        let ids: Vec<_> = Theatre::views().iter().map(|view| view.id()).collect();
        let all = self.views.load(&ids).await.unwrap();
        let one = |update: ProgressUpdate| {
            let ProgressUpdate { view, partition, progress: Progress { position, parked, .. } } = update;
            format!("{view} in partition {partition}: at {position}, parked: {parked:?}")
        };
        all.into_iter().map(one).collect()
    }

    /// Waits until every view contains all stored events.
    pub(crate) async fn wait_until_projected<D: Domain>(&self) {
        let ids: Vec<_> = D::views().iter().map(|view| view.id()).collect();
        let mut ends = std::collections::BTreeMap::new();
        ends.extend(self.all_events().await.into_iter().map(|event| (event.partition, event.position)));
        self.wait_until("all is projected", async || {
            let progress = self.views.load(&ids).await.unwrap();
            let is_there = |view, partition, end| {
                let mut of_view = progress.iter().filter(|update| update.view == view && update.partition == partition);
                of_view.any(|update| update.progress.position >= end && update.progress.parked.is_empty())
            };
            ids.iter().all(|view| ends.iter().all(|(partition, end)| is_there(*view, *partition, *end)))
        })
        .await;
    }
}

/// Runs a projector during a scenario, and then drops it. It must not end by itself.
pub(crate) async fn run_projector_during<D, S, L, V, P, C, T>(
    ports: Ports<S, L, V, P, C>,
    config: ProjectorConfig,
    scenario: impl Future<Output = T>,
) -> T
where
    D: Domain,
    S: EventStore,
    L: EventLog,
    V: ViewStore,
    P: ProgressStore,
    C: ViewCache,
{
    tokio::select! {
        biased;
        result = scenario => result,
        ended = run::<D, _, _, _, _, _>(ports, config, watch::Sender::default(), Shutdown::new()) => panic!("the projector has ended: {ended:?}"),
    }
}
