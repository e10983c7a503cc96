//! Concurrent readers and writers.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use futures::future::{join, join_all};

use super::fixture::{check_page, events, stream};
use crate::{
    ports::EventStore,
    testing::{
        TestEnv,
        support::{SuiteRun, TIMEOUT},
        yield_now,
    },
    vocabulary::{Position, RecordedEvent},
};

pub(super) async fn a_reader_misses_nothing_while_others_write<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    none_missed(run, 4, 6).await;
}

/// Every writer stores batches of one to three units in streams of its own; the reader follows from the end in small
/// pages.
pub(super) async fn none_missed<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, writers: usize, batches: usize) {
    let reader = run.env.handle().await;
    let (_, start) = run.read_all_after(&reader, Position::START, 1_000).await;
    let (receipts, writing) = (RefCell::new(BTreeMap::new()), Cell::new(writers));

    let write = join_all((0..writers).map(|writer| {
        let (receipts, writing) = (&receipts, &writing);
        async move {
            let store = run.env.handle().await;
            let streams = [stream(&format!("missed-{writer}-a")), stream(&format!("missed-{writer}-b"))];
            let mut versions = [0_u32; 2];
            for _ in 0..batches {
                let mut batch = Vec::new();
                for _ in 0..=run.random_below(3) {
                    let mine = run.random_below(2);
                    let first = versions[mine] + 1;
                    versions[mine] += 1 + u32::from(run.random_bool(0.3));
                    batch.push(run.unit(events(&streams[mine], first..=versions[mine])));
                }
                for receipt in run.store(&store, &batch).await {
                    receipts.borrow_mut().insert(receipt.streams[0].position, receipt);
                }
                yield_now().await;
            }
            writing.set(writing.get() - 1);
        }
    }));
    let read = async {
        let (mut received, mut cursor) = (Vec::<RecordedEvent>::new(), start);
        loop {
            let is_last = writing.get() == 0;
            let limit = 1 + run.random_below(5);
            let page = run.retry("read_after", async || reader.read_after(cursor, limit).await).await;
            check_page(&page.events, cursor, page.complete_up_to, limit);
            if is_last && page.events.is_empty() {
                return received;
            }
            received.extend(page.events);
            cursor = page.complete_up_to;
            yield_now().await;
        }
    };
    let (received, _) =
        run.env.timeout(TIMEOUT * 10, join(read, write)).await.expect("reader and writers finish in time");

    let (stored, _) = run.read_all_after(&reader, start, 1_000).await;
    let positions = |events: &[RecordedEvent]| events.iter().map(|event| event.position).collect::<Vec<_>>();
    assert_eq!(positions(&received), positions(&stored), "the reader received every event once, in order");
    assert_eq!(received, stored);
    let receipts = receipts.into_inner();
    assert!(receipts.len() >= writers * batches);
    for (position, receipt) in &receipts {
        let event = received.iter().find(|event| event.position == *position);
        assert_eq!(event.map(|event| event.request_id), Some(receipt.request_id), "a receipt without its event");
    }
    let acknowledged: Vec<_> = receipts.values().map(|receipt| receipt.request_id).collect();
    assert!(received.iter().all(|event| acknowledged.contains(&event.request_id)), "an event without a receipt");
}

/// Several writers compete for the next version of one stream; each version is stored by exactly one of them.
pub(super) async fn each_version_of_a_stream_is_won_by_one_writer<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
) {
    const WRITERS: u32 = 3;
    const EVENTS_EACH: u32 = 4;
    let stream_id = stream("turns");
    let writers = (0..WRITERS).map(|_| async {
        let store = run.env.handle().await;
        let mut version = 0;
        for _ in 0..EVENTS_EACH {
            loop {
                yield_now().await;
                let unit = run.unit(events(&stream_id, version + 1..=version + 1));
                match run.try_store(&store, &[unit], &[]).await {
                    Ok(_) => break version += 1,
                    Err(rejection) => match rejection.conflicts.as_slice() {
                        [(conflicting, expected, actual)] => {
                            assert_eq!((conflicting, *expected), (&stream_id, version));
                            assert!(*actual > version, "the stream is behind a version that was stored in it");
                            version = *actual;
                        }
                        other => panic!("expected one conflict, got {other:?}"),
                    },
                }
            }
        }
    });
    join_all(writers).await;
    let read = run.load_events(&*run.env.handle().await, &stream_id).await;
    let versions: Vec<_> = read.iter().map(|event| event.version.number()).collect();
    assert_eq!(versions, (1..=WRITERS * EVENTS_EACH).collect::<Vec<_>>(), "versions must be consecutive");
    assert!(read.is_sorted_by(|earlier, later| earlier.position < later.position));
}
