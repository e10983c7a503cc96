//! Reads, loads and waits.

use std::time::Duration;

use futures::future::join;

use super::fixture::{FORMAT, check_page, events, from_start, stream};
use crate::{
    ports::{EventStore, StreamLoad},
    testing::{
        TestEnv,
        support::{SuiteRun, TIMEOUT},
        yield_now,
    },
    vocabulary::{Position, Version},
};

pub(super) async fn reading_continues_after_the_cursor<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (writer, reader) = (run.env.handle().await, run.env.handle().await);
    let (before, start) = run.read_all_after(&reader, Position::START, 1_000).await;
    assert!(!before.is_empty(), "other tests have written");
    let mut written = Vec::new();
    for number in 0..4 {
        let stream_id = stream(&format!("reading-{number}"));
        run.store(&writer, &[run.unit(events(&stream_id, 1..=3))]).await;
        written.extend(run.load_events(&writer, &stream_id).await);
    }

    for limit in [1, 2, 5, 12, 100] {
        let (read, end) = run.read_all_after(&reader, start, limit).await;
        assert_eq!(read, written, "with limit {limit}");
        let page = run.retry("read_after", async || reader.read_after(end, limit).await).await;
        assert_eq!((page.events, page.complete_up_to), (Vec::new(), end), "nothing comes after the end");
    }
    // From a position in the middle of a unit.
    let (read, _) = run.read_all_after(&reader, written[4].position, 3).await;
    assert_eq!(read, written[5..]);

    let page = run.retry("read_after", async || reader.read_after(start, 100).await).await;
    assert!(
        written.iter().all(|event| event.recorded_at <= page.read_at),
        "the read time is before the recording time"
    );
    let beyond = written[11].position.plus(1_000);
    let page = run.retry("read_after", async || reader.read_after(beyond, 100).await).await;
    assert!(page.events.is_empty());
    assert!(page.complete_up_to >= beyond, "a page is never complete below its cursor");
}

pub(super) async fn a_partition_is_read_like_the_whole_store<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    for number in 0..6 {
        run.store(&store, &[run.unit(events(&stream(&format!("partition-{number}")), 1..=2))]).await;
    }
    let (all, _) = run.read_all_after(&store, Position::START, 1_000).await;
    for partition in store.partitions().iter() {
        let expected: Vec<_> = all.iter().filter(|event| event.partition == partition).cloned().collect();
        let (mut read, mut cursor) = (Vec::new(), Position::START);
        loop {
            let page = run
                .retry("read_partition_after", async || store.read_partition_after(partition, cursor, 3).await)
                .await;
            check_page(&page.events, cursor, page.complete_up_to, 3);
            let is_full = page.events.len() == 3;
            read.extend(page.events);
            cursor = page.complete_up_to;
            if !is_full {
                break;
            }
        }
        assert_eq!(read, expected, "partition {partition}");
    }
}

pub(super) async fn a_stream_is_read_in_order<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let stream_id = stream("in-order");
    run.store(&store, &[run.unit(events(&stream_id, 1..=12))]).await;
    let all = run.load_events(&store, &stream_id).await;
    for (after, limit) in [(0, 100), (0, 5), (3, 5), (9, 5), (12, 5), (20, 5)] {
        let after_exclusive = Version::new(u32::try_from(after).unwrap());
        let read = run
            .retry("read_stream_after", async || store.read_stream_after(&stream_id, after_exclusive, limit).await)
            .await;
        let expected: Vec<_> = all.iter().skip(after).take(limit).cloned().collect();
        assert_eq!(read, expected, "after {after}, limit {limit}");
    }
    let nowhere = stream("nowhere");
    let read = run.retry("read_stream_after", async || store.read_stream_after(&nowhere, Version::NONE, 5).await).await;
    assert!(read.is_empty());
}

pub(super) async fn an_event_is_found_by_its_position<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let stream_id = stream("found");
    run.store(&store, &[run.unit(events(&stream_id, 1..=3))]).await;
    let all = run.load_events(&store, &stream_id).await;
    let find = async |position| run.retry("find_event", async || store.find_event(position).await).await;
    for event in &all {
        assert_eq!(find(event.position).await, Some(event.identity()));
    }
    let before = Position::new(all[0].position.transaction_id() - 1, 0xf_ffff).unwrap();
    assert_eq!(find(before).await, None, "there is no event at {before}");
    assert_eq!(find(Position::new(1 << 40, 0).unwrap()).await, None);
}

pub(super) async fn streams_are_loaded_after_the_known_version<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let (stream_a, stream_b, nowhere) = (stream("load-a"), stream("load-b"), stream("load-nowhere"));
    let units = [run.unit(events(&stream_a, 1..=4)), run.unit(events(&stream_b, 1..=1))];
    run.store(&store, &units).await;

    let known = |stream_id, version| StreamLoad { stream_id, known_version: Version::new(version) };
    let wanted = [from_start(&nowhere), known(stream_a.clone(), 3), from_start(&stream_b), known(stream_b.clone(), 1)];
    let requests = [units[1].request_id, run.request_id(), units[0].request_id];
    let loaded = run.retry("load", async || store.load(&wanted, FORMAT, &requests).await).await;
    let received: Vec<_> = loaded
        .streams
        .iter()
        .map(|slice| {
            assert_eq!(slice.snapshot, None);
            (&slice.stream_id, slice.events.iter().map(|event| event.version.number()).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(received, [(&nowhere, vec![]), (&stream_a, vec![4]), (&stream_b, vec![1]), (&stream_b, vec![])]);
    let mut found: Vec<_> = loaded.requests.iter().map(|stored| stored.request_id).collect();
    found.sort();
    assert_eq!(found, [units[0].request_id, units[1].request_id], "exactly the stored requests are found");
}

pub(super) async fn an_append_ends_the_wait<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (store, stream_id) = (run.env.handle().await, stream("waiting"));
    let (_, end) = run.read_all_after(&store, Position::START, 1_000).await;
    let wait = run.env.timeout(TIMEOUT, store.wait_for_events(end, TIMEOUT * 100));
    let write = async {
        yield_now().await;
        run.store(&store, &[run.unit(events(&stream_id, 1..=1))]).await
    };
    assert!(join(wait, write).await.0.is_some(), "an append through the same handle did not end the wait");
    // Existing events end the wait at once, and without events it ends after wait_max.
    let already = run.env.timeout(TIMEOUT, store.wait_for_events(end, TIMEOUT * 100)).await;
    assert!(already.is_some(), "waited although there were events");
    let (_, end) = run.read_all_after(&store, Position::START, 1_000).await;
    let returned = run.env.timeout(TIMEOUT, store.wait_for_events(end, Duration::from_millis(1))).await;
    assert!(returned.is_some(), "waited longer than wait_max");
}
