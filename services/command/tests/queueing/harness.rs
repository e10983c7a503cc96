//! Processes that share a write database and a queue.

use std::{sync::Arc, time::Duration};

use diptych_command::{
    CommandError, CommandHandle, Executed, Execution, Queueable, QueuedReceipt, QueueingConfig, SequencerConfig,
    StoredCommand, Submission, start_with_queue,
};
use diptych_embedded::{EmbeddedEventStore, Storage};
use diptych_kernel::{
    EventMetadata, Partitions, Position, RequestId, Timestamp,
    domain::Domain,
    ports::{EventStore, Offset},
    testing::theatre::{Command, Event, Refusal, Theatre, seat},
};
use diptych_runtime::{Shutdown, Tasks, TokioClock, pause};
use futures::future::join_all;
use uuid::Uuid;

use crate::store::{Queue, Store};

pub(crate) type Outcome = Result<Executed<Refusal>, CommandError<Refusal>>;

/// Long enough for the breaker to open and a call to fail.
pub(crate) const OUTAGE: Duration = Duration::from_secs(5);

pub(crate) struct Servers {
    pub(crate) stored: Arc<EmbeddedEventStore>,
    pub(crate) store: Arc<Store>,
    pub(crate) queue: Arc<Queue>,
    clock: Arc<TokioClock>,
}

pub(crate) struct Process {
    pub(crate) handle: CommandHandle<Theatre>,
    tasks: Tasks,
}

pub(crate) fn request_id(number: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(number))
}

impl Servers {
    pub(crate) fn start() -> Self {
        let clock = Arc::new(TokioClock::starting_at(Timestamp::from_micros(1_700_000_000_000_000)));
        let partitions = Partitions::new(4).unwrap();
        let stored = Arc::new(EmbeddedEventStore::open(&Storage::Memory, partitions, clock.clone()).unwrap());
        let store = Arc::new(Store::new(Arc::clone(&stored)));
        Self { stored, store, queue: Arc::new(Queue::new()), clock }
    }

    pub(crate) fn process(&self, instance: &str) -> Process {
        self.process_with(QueueingConfig::new(instance))
    }

    pub(crate) fn process_with(&self, config: QueueingConfig) -> Process {
        let tasks = Tasks::new(Shutdown::new());
        let parts = (Arc::clone(&self.store), Arc::clone(&self.queue));
        let handle = start_with_queue(parts, (SequencerConfig::default(), config), self.clock.clone(), &tasks);
        Process { handle, tasks }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.store.set_down(is_down);
    }

    /// Waits until all queued commands have run.
    pub(crate) async fn until_drained(&self) {
        let end = self.queue.records().last().map_or(0, |last| last.offset.0 + 1);
        while self.store.done_before() < end {
            pause(Duration::from_millis(10)).await;
        }
    }

    /// The events of a seat, in order.
    pub(crate) async fn history(&self, name: &str) -> Vec<Event> {
        let all = self.stored.read_after(Position::START, 1_000_000).await.unwrap().events;
        let of_seat = all.iter().filter(|event| event.stream_id == seat(name));
        of_seat.map(|event| Theatre::decode_event(&event.event_type, &event.payload).unwrap()).collect()
    }
}

impl Process {
    pub(crate) async fn run(&self, id: u128, command: Command, may_queue: bool) -> Outcome {
        self.run_within(id, command, may_queue.then_some(None)).await
    }

    /// Runs a command that may be queued, and expires after a time.
    pub(crate) async fn run_within(&self, id: u128, command: Command, queue: Option<Option<Duration>>) -> Outcome {
        self.send(id, command, queue)?.await
    }

    /// Sends a command; its outcome follows.
    pub(crate) fn send(
        &self,
        id: u128,
        command: Command,
        queue: Option<Option<Duration>>,
    ) -> Result<Execution<Theatre>, CommandError<Refusal>> {
        let (command_type, payload) = command.encode();
        let queueable = queue.map(|expires_after| Queueable { command_type, payload, expires_after });
        let fingerprint = command.fingerprint();
        let (request_id, metadata) = (request_id(id), EventMetadata::default());
        let submission = Submission { request_id, fingerprint, expected_version: None, command, metadata };
        self.handle.try_execute(submission, queueable)
    }

    /// Sends commands that may be queued, one after the other, and returns their places in the queue.
    pub(crate) async fn queue_all(&self, commands: impl Iterator<Item = Command>) -> Vec<Offset> {
        let sent: Vec<_> =
            (1..).zip(commands).map(|(id, command)| self.send(id, command, Some(None)).unwrap()).collect();
        join_all(sent).await.into_iter().map(|outcome| queued(outcome).offset).collect()
    }

    pub(crate) async fn stop(self) {
        self.tasks.shutdown().begin();
        self.tasks.finish(Duration::from_secs(60)).await.unwrap();
    }
}

#[track_caller]
pub(crate) fn queued(outcome: Outcome) -> QueuedReceipt<Refusal> {
    match outcome {
        Ok(Executed::Queued(queued)) => queued,
        other => panic!("it is not queued: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn stored(outcome: Outcome) -> StoredCommand {
    match outcome {
        Ok(Executed::Stored(stored)) => stored,
        other => panic!("it is not stored: {other:?}"),
    }
}
