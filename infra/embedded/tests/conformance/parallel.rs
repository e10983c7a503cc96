//! More parallelism than a suite has by itself: writers and readers on threads of their own, each with a handle of its own.

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

/// Appends until the store has an answer. Handles to a file that keep each other waiting for too long are told so.
async fn append(store: &EmbeddedEventStore, unit: AppendUnit) -> AppendOutcome {
    for _ in 0..100 {
        match store.append(std::slice::from_ref(&unit), &[]).await {
            Ok(outcome) => return outcome,
            Err(error) => assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Retry), "{error}"),
        }
    }
    panic!("the store never has time");
}

/// Every writer has a stream of its own and contends with the others for a common one. Returns how many events it has stored.
async fn write(store: &EmbeddedEventStore, writer: usize) -> usize {
    let (own, common) = (StreamId::new(&format!("own-{writer}")).unwrap(), StreamId::new("common").unwrap());
    let (mut stored, mut known) = (0, 0);
    for version in 1..=APPENDS {
        let outcome = append(store, unit(&own, version)).await;
        assert!(matches!(outcome, AppendOutcome::Committed(_)), "nobody else writes to {own}: {outcome:?}");
        match append(store, unit(&common, known + 1)).await {
            AppendOutcome::Committed(_) => (stored, known) = (stored + 1, known + 1),
            AppendOutcome::Rejected { conflicts, .. } => known = conflicts[0].actual.number(),
        }
        stored += 1;
    }
    stored
}

/// A writer at work. Counted down also where it panics, so that nobody waits for it.
struct Writing<'a>(&'a AtomicUsize);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Follows from the start until the writers are done and nothing is left.
async fn follow(store: &EmbeddedEventStore, writing: &AtomicUsize) -> Vec<Position> {
    let (mut told, mut cursor) = (Vec::new(), Position::START);
    loop {
        let is_last = writing.load(Ordering::SeqCst) == 0;
        let tail = store.read_after(cursor, 5).await.unwrap();
        if is_last && tail.events.is_empty() {
            return told;
        }
        told.extend(tail.events.iter().map(|event| event.position));
        cursor = tail.complete_up_to;
    }
}

fn none_missed_by_threads(env: &EmbeddedTestEnv<EmbeddedEventStore>) {
    let writing = Arc::new(AtomicUsize::new(WRITERS));
    let open = || block_on(env.handle());
    let (told, stored) = thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (store, writing) = (open(), Arc::clone(&writing));
                scope.spawn(move || run(0, follow(&store, &writing)))
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (store, writing) = (open(), Arc::clone(&writing));
                scope.spawn(move || {
                    let _writing = Writing(&writing);
                    run(0, write(&store, writer))
                })
            })
            .collect();
        let stored: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        (readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>(), stored)
    });
    let all: Vec<_> = run(0, open().read_after(Position::START, usize::MAX)).unwrap().events;
    let all: Vec<_> = all.into_iter().map(|event| event.position).collect();
    assert_eq!(all.len(), stored, "what was acknowledged is there, once");
    for told in told {
        assert_eq!(told, all, "a reader was told of every event once, in order");
    }
}

#[test]
fn none_missed_by_threads_in_memory() {
    none_missed_by_threads(&EmbeddedTestEnv::events_in_memory());
}

#[test]
fn none_missed_by_threads_in_a_folder() {
    none_missed_by_threads(&EmbeddedTestEnv::events_in_a_folder());
}

#[test]
fn none_missed_by_tasks_in_a_folder() {
    // Behind a liar, as handles to a file that keep each other waiting for too long fail too.
    let (env, faults) = (EmbeddedTestEnv::events_in_a_folder(), FaultInjector::new(1, 0.05));
    run(1, event_store::none_missed(&FaultyTestEnv::new(&env, faults, FaultyEventStore::new), 1, 8, 20));
}
