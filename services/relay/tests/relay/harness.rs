//! Test harness: the stores of a relay, events to publish, and checks of the log.

use std::{cell::Cell, collections::HashMap, future::Future, sync::Arc, time::Duration};

use diptych_embedded::{EmbeddedEventLog, EmbeddedEventStore, Storage};
use diptych_kernel::{
    EventMetadata, Fingerprint, Partition, Partitions, Position, RecordedEvent, RequestId, StreamId, Timestamp,
    Version,
    ports::{
        AppendOutcome, AppendUnit, Consumer, EventLog, EventStore, LeaseOutcome, LogEntry, LogSignal, Offset,
        PortResult, RelayCursor, RelayState,
    },
    testing::theatre::{Event, new_event, seat},
};
use diptych_relay::{RelayConfig, RelayError, run};
use diptych_runtime::{Shutdown, TokioClock, pause};
use tokio::time::Instant;
use uuid::Uuid;

/// More events than any test stores.
const EVENTS_MAX: usize = 100_000;
/// Longest time that a test waits for a condition, in tokio's time.
const WAIT_MAX: Duration = Duration::from_secs(600);

pub(crate) struct RelayHarness {
    pub(crate) events: Arc<EmbeddedEventStore>,
    pub(crate) log: Arc<EmbeddedEventLog>,
    clock: Arc<TokioClock>,
    requests: Cell<u128>,
    readers: Cell<u64>,
}

pub(crate) fn partitions() -> Partitions {
    Partitions::new(3).unwrap()
}

/// Returns settings with batches so small that a few events exercise every path.
pub(crate) fn config(owner: &str) -> RelayConfig {
    RelayConfig { read_events_max: 3, ..RelayConfig::new(owner) }
}

impl RelayHarness {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000)));
        let events = EmbeddedEventStore::open(&Storage::Memory, partitions(), clock.clone()).unwrap();
        let (requests, readers) = (Cell::new(0), Cell::new(0));
        Self { events: Arc::new(events), log: Self::empty_log(&clock), clock, requests, readers }
    }

    fn empty_log(clock: &Arc<TokioClock>) -> Arc<EmbeddedEventLog> {
        Arc::new(EmbeddedEventLog::open(&Storage::Memory, partitions(), clock.clone()).unwrap())
    }

    /// Recreates the log with only the first `keep_records` records of each partition.
    pub(crate) async fn cut_log(&mut self, keep_records: usize) {
        let mut kept: HashMap<Partition, usize> = HashMap::new();
        let mut records = self.records().await;
        records.retain(|entry| {
            let count = kept.entry(entry.partition()).or_default();
            *count += 1;
            *count <= keep_records
        });
        self.log = Self::empty_log(&self.clock);
        self.log.append(&records).await.unwrap();
    }

    /// Stores `count` commands, each with one event for each of two seats.
    pub(crate) async fn store_commands(&self, count: u32) {
        for _ in 0..count {
            let request = self.requests.get();
            self.store_command(&[request % 7, 7 + request % 5]).await;
        }
    }

    /// Stores one command with the next event of each of these seats.
    pub(crate) async fn store_command(&self, seats: &[u128]) {
        self.try_store_command(seats).await.unwrap();
    }

    /// As [`RelayHarness::store_command`], with a store that may refuse it.
    pub(crate) async fn try_store_command(&self, seats: &[u128]) -> PortResult<()> {
        let request = self.requests.get() + 1;
        self.requests.set(request);
        let mut events = Vec::new();
        for number in seats {
            let stream_id = seat(&number.to_string());
            let version = self.version(&stream_id).await.next();
            events.push(new_event(stream_id, version, &Event::reserved("ada")));
        }
        let unit = AppendUnit {
            request_id: RequestId::from_uuid(Uuid::from_u128(request)),
            fingerprint: Fingerprint::of("harness", &request.to_be_bytes()),
            events,
            metadata: EventMetadata::default(),
        };
        let outcome = self.events.append(&[unit], &[]).await?;
        assert!(matches!(outcome, AppendOutcome::Committed(_)), "{outcome:?}");
        Ok(())
    }

    async fn version(&self, stream_id: &StreamId) -> Version {
        let events = self.events.read_stream_after(stream_id, Version::NONE, EVENTS_MAX).await.unwrap();
        events.last().map(|event| event.version).unwrap_or_default()
    }

    pub(crate) async fn all_events(&self) -> Vec<RecordedEvent> {
        self.events.read_after(Position::START, EVENTS_MAX).await.unwrap().events
    }

    /// Returns all records of the log, in order within each partition.
    pub(crate) async fn records(&self) -> Vec<LogEntry> {
        self.readers.set(self.readers.get() + 1);
        let mut reader = self.log.join(&format!("readers-{}", self.readers.get()), "one").await.unwrap();
        let mut records = Vec::new();
        loop {
            match reader.poll(1_000, Duration::ZERO).await.unwrap() {
                LogSignal::Assigned(assignments) => {
                    for assignment in assignments {
                        reader.seek(assignment.partition, Offset(0)).await.unwrap();
                    }
                }
                LogSignal::Records(more) => records.extend(more.into_iter().map(|record| record.entry)),
                LogSignal::Revoked(..) => panic!("the only member of the group lost a partition"),
                LogSignal::Idle => return records,
            }
        }
    }

    /// Returns the cursor once no relay holds the lease.
    pub(crate) async fn cursor(&self) -> RelayCursor {
        loop {
            match self.events.acquire_lease("test", Duration::from_micros(1)).await.unwrap() {
                LeaseOutcome::Held { cursor, fence } => {
                    self.events.release_lease(fence).await.unwrap();
                    return cursor;
                }
                LeaseOutcome::HeldByOther { .. } => pause(Duration::from_secs(1)).await,
            }
        }
    }

    /// Returns whether the last event of every partition is on the log.
    pub(crate) async fn is_published(&self) -> bool {
        let mut last_events = vec![None; usize::from(partitions().count())];
        for event in self.all_events().await {
            last_events[event.partition.index()] = Some(event.identity());
        }
        self.log.ends().await.unwrap().iter().zip(last_events).all(|(end, last_event)| end.last_event == last_event)
    }

    pub(crate) async fn until_published(&self) {
        self.until("everything is published", async || self.is_published().await).await;
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let start = Instant::now();
        while !holds().await {
            let waited = start.elapsed();
            assert!(waited < WAIT_MAX, "timed out waiting until {what}");
            // Each look reads everything, so a long wait looks less often.
            pause(Duration::from_millis(5).max(waited / 100)).await;
        }
    }

    /// Checks that the log holds every event, in order except for repeats, and no watermark ahead of its events.
    /// Returns the number of repeats.
    pub(crate) async fn check_log(&self) -> usize {
        let records = self.records().await;
        let all = self.all_events().await;
        let mut repeats = 0;
        for partition in partitions().iter() {
            let expected: Vec<_> = all.iter().filter(|event| event.partition == partition).collect();
            let mut published = 0;
            for entry in records.iter().filter(|entry| entry.partition() == partition) {
                match entry {
                    LogEntry::Event(event) if expected.get(published) == Some(&event) => published += 1,
                    LogEntry::Event(event) => {
                        assert!(
                            expected[..published].contains(&event),
                            "{} comes before an earlier event",
                            event.position
                        );
                        repeats += 1;
                    }
                    LogEntry::Watermark(_, watermark) => {
                        let due = expected.iter().take_while(|event| event.position <= watermark.position).count();
                        assert!(due <= published, "{watermark:?} overtakes events of partition {partition}");
                        let last = due.checked_sub(1).map(|last| expected[last].position).unwrap_or_default();
                        assert!(watermark.last_event >= last, "{watermark:?}, but {last}");
                        assert!(
                            expected[..published].iter().any(|event| event.position == watermark.last_event)
                                || published == 0
                        );
                    }
                }
            }
            assert_eq!(published, expected.len(), "events of partition {partition}");
        }
        repeats
    }

    /// Runs a relay on the stores without faults during a scenario, then shuts it down.
    pub(crate) async fn run_relay<T>(&self, owner: &str, scenario: impl Future<Output = T>) -> T {
        let (output, ended) = run_relay_during(&self.events, &self.log, config(owner), scenario).await;
        ended.unwrap();
        output
    }
}

/// Runs a relay during a scenario, then shuts it down. Returns the output of the scenario and the result of the relay.
pub(crate) async fn run_relay_during<S: EventStore + RelayState, L: EventLog, T>(
    events: &Arc<S>,
    log: &Arc<L>,
    config: RelayConfig,
    scenario: impl Future<Output = T>,
) -> (T, Result<(), RelayError>) {
    let shutdown = Shutdown::new();
    let scenario = async {
        let output = scenario.await;
        shutdown.begin();
        output
    };
    futures::join!(scenario, run(Arc::clone(events), Arc::clone(log), config, shutdown.clone()))
}
