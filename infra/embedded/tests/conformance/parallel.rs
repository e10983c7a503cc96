//! Tests with more parallelism than the suites: writers and readers on separate threads, each with its own handle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use diptych_embedded::EmbeddedEventStore;
use diptych_kernel::{
    Fingerprint, NewEvent, Position, RequestId, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, Effect, EventStore, Remedy},
    testing::{
        FaultyTestEnv, TestEnv, block_on, event_store,
        faulty::{FaultInjector, FaultyEventStore},
    },
};
use uuid::Uuid;

use crate::{run, test_env::EmbeddedTestEnv};

const WRITERS: usize = 4;
const APPENDS: u32 = 60;

fn unit(stream_id: &StreamId, version: u32) -> AppendUnit {
    let event = NewEvent {
        stream_id: stream_id.clone(),
        version: Version::new(version),
        event_type: "test.Happened".into(),
        payload: version.to_be_bytes().to_vec().into(),
    };
    AppendUnit {
        request_id: RequestId::from_uuid(Uuid::new_v4()),
        fingerprint: Fingerprint::of("test", event.payload.as_ref()),
        events: vec![event],
        metadata: Default::default(),
    }
}

/// Repeats an append until the store returns a result. Handles to a file can time out waiting for each other.
async fn append(store: &EmbeddedEventStore, unit: AppendUnit) -> AppendOutcome {
    for _ in 0..100 {
        match store.append(std::slice::from_ref(&unit), &[]).await {
            Ok(outcome) => return outcome,
            Err(error) => assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}"),
        }
    }
    panic!("the append failed 100 times");
}

/// Appends to a stream of the writer's own and to a common one that all writers contend for. Returns the number of
/// stored events.
async fn write(store: &EmbeddedEventStore, writer: usize) -> usize {
    let (own, common) = (StreamId::new(&format!("own-{writer}")).unwrap(), StreamId::new("common").unwrap());
    let (mut stored, mut known) = (0, 0);
    for version in 1..=APPENDS {
        let outcome = append(store, unit(&own, version)).await;
        assert!(matches!(outcome, AppendOutcome::Committed(_)), "only this writer writes to {own}: {outcome:?}");
        match append(store, unit(&common, known + 1)).await {
            AppendOutcome::Committed(_) => (stored, known) = (stored + 1, known + 1),
            AppendOutcome::Rejected { conflicts, .. } => known = conflicts[0].actual.number(),
        }
        stored += 1;
    }
    stored
}

/// Active writer. Decrements the counter when it is dropped, also after a panic, so that readers do not wait forever.
struct ActiveWriter<'a>(&'a AtomicUsize);

impl Drop for ActiveWriter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Reads from the start until the writers are done and no events are left.
async fn follow(store: &EmbeddedEventStore, active_writers: &AtomicUsize) -> Vec<Position> {
    let (mut received, mut cursor) = (Vec::new(), Position::START);
    loop {
        let is_last = active_writers.load(Ordering::SeqCst) == 0;
        let page = store.read_after(cursor, 5).await.unwrap();
        if is_last && page.events.is_empty() {
            return received;
        }
        received.extend(page.events.iter().map(|event| event.position));
        cursor = page.complete_up_to;
    }
}

fn none_missed_by_threads(env: &EmbeddedTestEnv<EmbeddedEventStore>) {
    let active_writers = Arc::new(AtomicUsize::new(WRITERS));
    let open = || block_on(env.handle());
    let (received, stored) = thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (store, active_writers) = (open(), Arc::clone(&active_writers));
                scope.spawn(move || run(0, follow(&store, &active_writers)))
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, active_writers) = (open(), Arc::clone(&active_writers));
                scope.spawn(move || {
                    let _writing = ActiveWriter(&active_writers);
                    run(0, write(&store, writer))
                })
            })
            .collect();
        let stored: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        (readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>(), stored)
    });
    let all: Vec<_> = run(0, open().read_after(Position::START, usize::MAX)).unwrap().events;
    let all: Vec<_> = all.into_iter().map(|event| event.position).collect();
    assert_eq!(all.len(), stored, "every acknowledged event is stored once");
    for received in received {
        assert_eq!(received, all, "every reader must receive every event once, in order");
    }
}

#[test]
fn none_missed_by_threads_in_memory() {
    none_missed_by_threads(&EmbeddedTestEnv::events_in_memory());
}

#[test]
fn none_missed_by_threads_in_a_directory() {
    none_missed_by_threads(&EmbeddedTestEnv::events_in_a_directory());
}

#[test]
fn none_missed_by_tasks_in_a_directory() {
    // With injected faults, because handles to a file can also time out waiting for each other.
    let (env, faults) = (EmbeddedTestEnv::events_in_a_directory(), FaultInjector::new(1, 0.05));
    run(1, event_store::none_missed(&FaultyTestEnv::new(&env, faults, FaultyEventStore::new), 1, 8, 20));
}
