//! What reads tell.

use std::time::Duration;

use futures::future::join;

use super::fixture::{FORMAT, check_piece, events, from_start, stream};
use crate::{
    ports::{EventStore, StreamLoad},
    testing::{
        TestEnv,
        support::{BOUND, Trial},
        yield_now,
    },
    vocabulary::{Position, Version},
};

pub(super) async fn reading_goes_on_where_it_stopped<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let (writer, reader) = (trial.env.handle().await, trial.env.handle().await);
    let (before, start) = trial.read_all_after(&reader, Position::START, 1_000).await;
    assert!(!before.is_empty(), "other tests have written");
    let mut written = Vec::new();
    for number in 0..4 {
        let stream_id = stream(&format!("reading-{number}"));
        trial.store(&writer, &[trial.unit(events(&stream_id, 1..=3))]).await;
        written.extend(trial.all_of(&writer, &stream_id).await);
    }

    for limit in [1, 2, 5, 12, 100] {
        let (read, end) = trial.read_all_after(&reader, start, limit).await;
        assert_eq!(read, written, "with limit {limit}");
        let tail = trial.ask("read_after", async || reader.read_after(end, limit).await).await;
        assert_eq!((tail.events, tail.complete_up_to), (Vec::new(), end), "nothing comes after the end");
    }
    // From the middle, also of a unit.
    let (read, _) = trial.read_all_after(&reader, written[4].position, 3).await;
    assert_eq!(read, written[5..]);

    let tail = trial.ask("read_after", async || reader.read_after(start, 100).await).await;
    assert!(written.iter().all(|event| event.recorded_at <= tail.read_at), "read before it was recorded");
    let beyond = written[11].position.plus(1_000);
    let tail = trial.ask("read_after", async || reader.read_after(beyond, 100).await).await;
    assert!(tail.events.is_empty());
    assert!(tail.complete_up_to >= beyond, "never below the position that was read from");
}

pub(super) async fn a_partition_is_read_like_the_whole<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    for number in 0..6 {
        trial.store(&store, &[trial.unit(events(&stream(&format!("partition-{number}")), 1..=2))]).await;
    }
    let (all, _) = trial.read_all_after(&store, Position::START, 1_000).await;
    for partition in store.partitions().iter() {
        let expected: Vec<_> = all.iter().filter(|event| event.partition == partition).cloned().collect();
        let (mut read, mut cursor) = (Vec::new(), Position::START);
        loop {
            let tail = trial
                .ask("read_partition_after", async || store.read_partition_after(partition, cursor, 3).await)
                .await;
            check_piece(&tail.events, cursor, tail.complete_up_to, 3);
            let was_cut = tail.events.len() == 3;
            read.extend(tail.events);
            cursor = tail.complete_up_to;
            if !was_cut {
                break;
            }
        }
        assert_eq!(read, expected, "partition {partition}");
    }
}

pub(super) async fn a_stream_is_read_in_order<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    let stream_id = stream("in-order");
    trial.store(&store, &[trial.unit(events(&stream_id, 1..=12))]).await;
    let all = trial.all_of(&store, &stream_id).await;
    for (after, limit) in [(0, 100), (0, 5), (3, 5), (9, 5), (12, 5), (20, 5)] {
        let after_exclusive = Version::new(u32::try_from(after).unwrap());
        let read = trial
            .ask("read_stream_after", async || store.read_stream_after(&stream_id, after_exclusive, limit).await)
            .await;
        let expected: Vec<_> = all.iter().skip(after).take(limit).cloned().collect();
        assert_eq!(read, expected, "after {after}, limit {limit}");
    }
    let nowhere = stream("nowhere");
    let read = trial.ask("read_stream_after", async || store.read_stream_after(&nowhere, Version::NONE, 5).await).await;
    assert!(read.is_empty());
}

pub(super) async fn streams_are_loaded_from_what_is_known<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    let (stream_a, stream_b, nowhere) = (stream("load-a"), stream("load-b"), stream("load-nowhere"));
    let units = [trial.unit(events(&stream_a, 1..=4)), trial.unit(events(&stream_b, 1..=1))];
    trial.store(&store, &units).await;

    let known = |stream_id, version| StreamLoad { stream_id, known_version: Version::new(version) };
    let wanted = [from_start(&nowhere), known(stream_a.clone(), 3), from_start(&stream_b), known(stream_b.clone(), 1)];
    let requests = [units[1].request_id, trial.request_id(), units[0].request_id];
    let loaded = trial.ask("load", async || store.load(&wanted, FORMAT, &requests).await).await;
    let told: Vec<_> = loaded
        .streams
        .iter()
        .map(|slice| {
            assert_eq!(slice.snapshot, None);
            (&slice.stream_id, slice.events.iter().map(|event| event.version.number()).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(told, [(&nowhere, vec![]), (&stream_a, vec![4]), (&stream_b, vec![1]), (&stream_b, vec![])]);
    let mut found: Vec<_> = loaded.requests.iter().map(|stored| stored.receipt.request_id).collect();
    found.sort();
    assert_eq!(found, [units[0].request_id, units[1].request_id], "those that are stored, and no others");
}

pub(super) async fn waiting_ends_with_an_append<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let (store, stream_id) = (trial.env.handle().await, stream("waiting"));
    let (_, end) = trial.read_all_after(&store, Position::START, 1_000).await;
    let wait = trial.env.timeout(BOUND, store.wait_for_events(end, BOUND * 100));
    let write = async {
        yield_now().await;
        trial.store(&store, &[trial.unit(events(&stream_id, 1..=1))]).await
    };
    assert!(join(wait, write).await.0.is_some(), "an append of the same handle was slept through");
    // What is there already is not waited for, and patience ends.
    let there = trial.env.timeout(BOUND, store.wait_for_events(end, BOUND * 100)).await;
    assert!(there.is_some(), "waited for what was there");
    let (_, end) = trial.read_all_after(&store, Position::START, 1_000).await;
    let bored = trial.env.timeout(BOUND, store.wait_for_events(end, Duration::from_millis(1))).await;
    assert!(bored.is_some(), "waited longer than its wait_max");
}
