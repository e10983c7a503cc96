//! Many at a time.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use futures::future::{join, join_all};

use super::fixture::{check_piece, events, stream};
use crate::{
    ports::EventStore,
    testing::{
        TestEnv,
        support::{BOUND, Trial},
        yield_now,
    },
    vocabulary::{Position, RecordedEvent},
};

pub(super) async fn a_reader_misses_nothing_while_others_write<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    none_missed(trial, 4, 6).await;
}

/// Every writer stores batches of one to three units in streams of its own; the reader follows from the end in small pieces.
pub(super) async fn none_missed<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>, writers: usize, batches: usize) {
    let reader = trial.env.handle().await;
    let (_, start) = trial.read_all_after(&reader, Position::START, 1_000).await;
    let (receipts, writing) = (RefCell::new(BTreeMap::new()), Cell::new(writers));

    let write = join_all((0..writers).map(|writer| {
        let (receipts, writing) = (&receipts, &writing);
        async move {
            let store = trial.env.handle().await;
            let streams = [stream(&format!("missed-{writer}-a")), stream(&format!("missed-{writer}-b"))];
            let mut versions = [0_u32; 2];
            for _ in 0..batches {
                let mut batch = Vec::new();
                for _ in 0..=trial.below(3) {
                    let mine = trial.below(2);
                    let first = versions[mine] + 1;
                    versions[mine] += 1 + u32::from(trial.chance(0.3));
                    batch.push(trial.unit(events(&streams[mine], first..=versions[mine])));
                }
                for receipt in trial.store(&store, &batch).await {
                    receipts.borrow_mut().insert(receipt.streams[0].position, receipt);
                }
                yield_now().await;
            }
            writing.set(writing.get() - 1);
        }
    }));
    let read = async {
        let (mut told, mut cursor) = (Vec::<RecordedEvent>::new(), start);
        loop {
            let is_last = writing.get() == 0;
            let limit = 1 + trial.below(5);
            let tail = trial.ask("read_after", async || reader.read_after(cursor, limit).await).await;
            check_piece(&tail.events, cursor, tail.complete_up_to, limit);
            if is_last && tail.events.is_empty() {
                return told;
            }
            told.extend(tail.events);
            cursor = tail.complete_up_to;
            yield_now().await;
        }
    };
    let (told, _) = trial.env.timeout(BOUND * 10, join(read, write)).await.expect("reader and writers come to an end");

    let (stored, _) = trial.read_all_after(&reader, start, 1_000).await;
    let positions = |events: &[RecordedEvent]| events.iter().map(|event| event.position).collect::<Vec<_>>();
    assert_eq!(positions(&told), positions(&stored), "the reader was told of every event once, in order");
    assert_eq!(told, stored);
    let receipts = receipts.into_inner();
    assert!(receipts.len() >= writers * batches);
    for (position, receipt) in &receipts {
        let event = told.iter().find(|event| event.position == *position);
        assert_eq!(event.map(|event| event.request_id), Some(receipt.request_id), "a receipt without its event");
    }
    let acknowledged: Vec<_> = receipts.values().map(|receipt| receipt.request_id).collect();
    assert!(told.iter().all(|event| acknowledged.contains(&event.request_id)), "an event of nobody");
}

/// Writers that all want the next version of one stream: each version is won once.
pub(super) async fn writers_of_one_stream_take_turns<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    const WRITERS: u32 = 3;
    const EVENTS_EACH: u32 = 4;
    let stream_id = stream("turns");
    let writers = (0..WRITERS).map(|_| async {
        let store = trial.env.handle().await;
        let mut version = 0;
        for _ in 0..EVENTS_EACH {
            loop {
                yield_now().await;
                let unit = trial.unit(events(&stream_id, version + 1..=version + 1));
                match trial.try_store(&store, &[unit], &[]).await {
                    Ok(_) => break version += 1,
                    Err(rejection) => match rejection.conflicts.as_slice() {
                        [(conflicting, expected, actual)] => {
                            assert_eq!((conflicting, *expected), (&stream_id, version));
                            assert!(*actual > version, "the stream is behind the one who wrote to it");
                            version = *actual;
                        }
                        other => panic!("one stream conflicts: {other:?}"),
                    },
                }
            }
        }
    });
    join_all(writers).await;
    let read = trial.all_of(&*trial.env.handle().await, &stream_id).await;
    let versions: Vec<_> = read.iter().map(|event| event.version.number()).collect();
    assert_eq!(versions, (1..=WRITERS * EVENTS_EACH).collect::<Vec<_>>(), "dense");
    assert!(read.is_sorted_by(|earlier, later| earlier.position < later.position));
}
