//! Appends are durable and atomic.

use super::fixture::{event, events, stream};
use crate::{
    ports::{EVENT_BYTES_MAX, Effect, EventStore, Remedy},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::{EventMetadata, NewEvent, Version},
};

pub(super) async fn stored_events_are_read_back_through_every_handle<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let stream_id = stream("appends-1");
    let mut unit = run.unit(events(&stream_id, 1..=3));
    unit.events[1].payload = Default::default();
    let receipt = run.store(&mine, &[unit.clone()]).await.remove(0);

    for store in [&mine, &other, &run.env.handle().await] {
        let read = run.load_events(store, &stream_id).await;
        assert_eq!(read.len(), 3);
        for (index, (stored, new)) in read.iter().zip(&unit.events).enumerate() {
            assert_eq!(stored.stream_id, new.stream_id);
            assert_eq!(stored.partition, store.partitions().of(&stream_id));
            assert_eq!(stored.version, new.version);
            assert_eq!(stored.event_type, new.event_type);
            assert_eq!(stored.payload, new.payload);
            assert_eq!(stored.metadata, unit.metadata);
            assert_eq!(stored.request_id, unit.request_id);
            assert_eq!(stored.recorded_at, receipt.committed_at);
            let expected = read[0].position.as_i64() + i64::try_from(index).unwrap();
            assert_eq!(stored.position.as_i64(), expected, "the events of a unit have consecutive positions");
        }
        assert_eq!(read[2].position, receipt.streams[0].position, "the receipt holds the last position");
    }

    let mut unit = run.unit(vec![event(&stream_id, 4)]);
    unit.metadata = EventMetadata::default();
    run.store(&other, &[unit]).await;
    let read = run.load_events(&mine, &stream_id).await;
    assert_eq!(read.len(), 4);
    assert_eq!(read[3].metadata, EventMetadata::default());
    assert!(read[3].position > read[2].position, "position grows with version");
}

pub(super) async fn a_suspended_store_stores_nothing<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let stream_id = stream("suspended-1");
    run.store(&mine, &[run.unit(events(&stream_id, 1..=1))]).await;
    for reason in ["the first reason", "another reason"] {
        run.retry("suspend_appends", async || other.suspend_appends(reason).await).await;
    }
    for store in [&mine, &other, &run.env.handle().await] {
        let unit = [run.unit(vec![event(&stream_id, 2)])];
        // Injected faults are retried; only the store itself asks for an operator.
        let error = loop {
            match store.append(&unit, &[]).await {
                Err(error) if error.remedy() == Remedy::Operator => break error,
                Err(_) => {}
                Ok(outcome) => panic!("a suspended store answered {outcome:?}"),
            }
        };
        assert!(error.to_string().contains("the first reason"), "{error}");
        assert_eq!(run.load_events(store, &stream_id).await.len(), 1, "reads go on");
    }
}

pub(super) async fn a_batch_is_stored_atomically<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let store = run.env.handle().await;
    let (stream_a, stream_b, stream_c) = (stream("batch-a"), stream("batch-b"), stream("batch-c"));
    // The second unit builds on the first.
    let batch =
        [run.unit(events(&stream_a, 1..=2)), run.unit(events(&stream_a, 3..=3)), run.unit(events(&stream_b, 1..=1))];
    let receipts = run.store(&store, &batch).await;
    let read = run.load_events(&store, &stream_a).await;
    assert_eq!(read.iter().map(|event| event.version.number()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(read.is_sorted_by(|earlier, later| earlier.position < later.position));
    assert_eq!(receipts[0].streams[0].position, read[1].position);
    assert_eq!(receipts[1].streams[0].position, read[2].position);

    // The unit in the middle conflicts: nothing of the others is stored.
    let batch =
        [run.unit(events(&stream_a, 4..=4)), run.unit(events(&stream_b, 1..=1)), run.unit(events(&stream_c, 1..=1))];
    let rejection = run.expect_rejection(&store, &batch).await;
    assert_eq!(rejection.conflicts, [(stream_b.clone(), 0, 1)]);
    assert!(rejection.done.is_empty());
    assert_eq!(run.load_events(&store, &stream_a).await.len(), 3);
    assert_eq!(run.load_events(&store, &stream_c).await.len(), 0);
    for unit in &batch {
        assert_eq!(run.find_request(&store, unit.request_id).await, None, "a rejected request is not stored");
    }
}

pub(super) async fn a_command_over_two_streams_is_stored_atomically<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
) {
    let store = run.env.handle().await;
    let (stream_a, stream_b) = (stream("pair-a"), stream("pair-b"));
    let unit = run.unit(vec![event(&stream_b, 1), event(&stream_a, 1), event(&stream_b, 2), event(&stream_a, 2)]);
    let receipt = run.store(&store, &[unit]).await.remove(0);
    let (read_a, read_b) = (run.load_events(&store, &stream_a).await, run.load_events(&store, &stream_b).await);
    assert_eq!((read_a.len(), read_b.len()), (2, 2));
    let first = read_b[0].position;
    let positions = [read_b[0].position, read_a[0].position, read_b[1].position, read_a[1].position];
    assert_eq!(
        positions,
        [first, first.plus(1), first.plus(2), first.plus(3)],
        "positions follow the order of the events"
    );
    assert_eq!(receipt.streams[0].position, first.plus(2));
    assert_eq!(receipt.streams[1].position, first.plus(3));

    // If one of two streams has changed, nothing is stored in the other.
    let stale = run.unit(vec![event(&stream_a, 3), event(&stream_b, 2)]);
    let rejection = run.expect_rejection(&store, &[stale]).await;
    assert_eq!(rejection.conflicts, [(stream_b.clone(), 1, 2)]);
    assert_eq!(run.load_events(&store, &stream_a).await.len(), 2);
}

pub(super) async fn conflicts_carry_both_versions<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.env.handle().await, run.env.handle().await);
    let (stream_a, stream_b, stream_c) = (stream("conflict-a"), stream("conflict-b"), stream("conflict-c"));
    run.store(&mine, &[run.unit(events(&stream_a, 1..=2)), run.unit(events(&stream_b, 1..=5))]).await;

    let late = run.unit(events(&stream_a, 1..=2));
    assert_eq!(run.expect_rejection(&other, &[late]).await.conflicts, [(stream_a.clone(), 0, 2)]);
    let late = run.unit(events(&stream_a, 2..=2));
    assert_eq!(run.expect_rejection(&other, &[late]).await.conflicts, [(stream_a.clone(), 1, 2)]);

    // Each stream is reported once, with the version that its first event builds on.
    let batch = [
        run.unit(vec![event(&stream_a, 2), event(&stream_b, 3), event(&stream_c, 1)]),
        run.unit(vec![event(&stream_a, 3), event(&stream_b, 4)]),
    ];
    let mut conflicts = run.expect_rejection(&other, &batch).await.conflicts;
    conflicts.sort();
    assert_eq!(conflicts, [(stream_a.clone(), 1, 2), (stream_b.clone(), 2, 5)]);

    // With faults, an unreported append could make a future version fit later, so this is only checked without.
    if run.is_fault_free() {
        let early = run.unit(events(&stream_a, 4..=4));
        assert_eq!(run.expect_rejection(&mine, &[early]).await.conflicts, [(stream_a.clone(), 3, 2)]);
        let early = run.unit(events(&stream_c, 2..=2));
        assert_eq!(run.expect_rejection(&mine, &[early]).await.conflicts, [(stream_c.clone(), 1, 0)]);
    }
    assert_eq!(run.load_events(&mine, &stream_a).await.last().map(|event| event.version), Some(Version::new(2)));
    assert_eq!(run.load_events(&mine, &stream_b).await.last().map(|event| event.version), Some(Version::new(5)));
    assert_eq!(run.load_events(&mine, &stream_c).await.len(), 0);
}

pub(super) async fn turns_are_granted_again_after_they_end<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let stream_id = stream("take-turns");
    for (round, store) in (1..).zip([0, 1, 1, 0]) {
        let store = &handles[store];
        let partitions = [store.partitions().of(&stream_id)];
        let turn = run.retry("take_turn", async || store.take_turn(&partitions).await).await;
        run.store(store, &[run.unit(events(&stream_id, round..=round))]).await;
        drop(turn);
    }
    // An append needs no turn.
    let partitions = [handles[0].partitions().of(&stream_id)];
    let turn = run.retry("take_turn", async || handles[0].take_turn(&partitions).await).await;
    run.store(&handles[1], &[run.unit(events(&stream_id, 5..=5))]).await;
    drop(turn);
}

pub(super) async fn events_that_the_log_cannot_take_are_not_stored<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
) {
    let store = run.env.handle().await;
    let stream_id = stream("large");
    let mut largest = event(&stream_id, 1);
    largest.payload = vec![7; EVENT_BYTES_MAX - largest.event_type.len()].into();
    let mut too_large = largest.clone();
    too_large.payload = vec![7; too_large.payload.len() + 1].into();
    let too_large = [run.unit(vec![too_large])];
    let many = (1..=20).map(|version| NewEvent { version: Version::new(version), ..largest.clone() }).collect();
    let too_many = [run.unit(many)];
    for units in [&too_large, &too_many] {
        let error = loop {
            match store.append(units, &[]).await {
                Err(error) if error.remedy() == Remedy::Operator => break error,
                Err(_) if !run.is_fault_free() => {}
                answer => panic!("events that are too large are not refused: {answer:?}"),
            }
        };
        assert_eq!(error.effect(), Effect::None, "{error}");
    }
    assert!(run.load_events(&store, &stream_id).await.is_empty());
    run.store(&store, &[run.unit(vec![largest])]).await;
}
