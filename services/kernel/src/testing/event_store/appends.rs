//! What an append does: all or nothing, and for good.

use super::fixture::{event, events, stream};
use crate::{
    ports::EventStore,
    testing::{TestEnv, support::Trial},
    vocabulary::{EventMetadata, Version},
};

pub(super) async fn what_is_stored_is_read_back_by_everybody<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.env.handle().await, trial.env.handle().await);
    let stream_id = stream("appends-1");
    let mut unit = trial.unit(events(&stream_id, 1..=3));
    unit.events[1].payload = Default::default();
    let receipt = trial.store(&mine, &[unit.clone()]).await.remove(0);

    for store in [&mine, &other, &trial.env.handle().await] {
        let read = trial.all_of(store, &stream_id).await;
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
        assert_eq!(read[2].position, receipt.streams[0].position, "the receipt tells the last position");
    }

    let mut unit = trial.unit(vec![event(&stream_id, 4)]);
    unit.metadata = EventMetadata::default();
    trial.store(&other, &[unit]).await;
    let read = trial.all_of(&mine, &stream_id).await;
    assert_eq!(read.len(), 4);
    assert_eq!(read[3].metadata, EventMetadata::default());
    assert!(read[3].position > read[2].position, "position grows with version");
}

pub(super) async fn a_batch_is_stored_whole<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    let (stream_a, stream_b, stream_c) = (stream("batch-a"), stream("batch-b"), stream("batch-c"));
    // The second unit builds on the first.
    let batch = [
        trial.unit(events(&stream_a, 1..=2)),
        trial.unit(events(&stream_a, 3..=3)),
        trial.unit(events(&stream_b, 1..=1)),
    ];
    let receipts = trial.store(&store, &batch).await;
    let read = trial.all_of(&store, &stream_a).await;
    assert_eq!(read.iter().map(|event| event.version.number()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(read.is_sorted_by(|earlier, later| earlier.position < later.position));
    assert_eq!(receipts[0].streams[0].position, read[1].position);
    assert_eq!(receipts[1].streams[0].position, read[2].position);

    // One unit in the middle has lost its race: nothing of the others is stored.
    let batch = [
        trial.unit(events(&stream_a, 4..=4)),
        trial.unit(events(&stream_b, 1..=1)),
        trial.unit(events(&stream_c, 1..=1)),
    ];
    let rejection = trial.store_in_vain(&store, &batch).await;
    assert_eq!(rejection.conflicts, [(stream_b.clone(), 0, 1)]);
    assert!(rejection.done.is_empty());
    assert_eq!(trial.all_of(&store, &stream_a).await.len(), 3);
    assert_eq!(trial.all_of(&store, &stream_c).await.len(), 0);
    for unit in &batch {
        assert_eq!(trial.find_request(&store, unit.request_id).await, None, "a rejected request is not remembered");
    }
}

pub(super) async fn a_command_over_two_streams_is_stored_whole<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let store = trial.env.handle().await;
    let (stream_a, stream_b) = (stream("pair-a"), stream("pair-b"));
    let unit = trial.unit(vec![event(&stream_b, 1), event(&stream_a, 1), event(&stream_b, 2), event(&stream_a, 2)]);
    let receipt = trial.store(&store, &[unit]).await.remove(0);
    let (read_a, read_b) = (trial.all_of(&store, &stream_a).await, trial.all_of(&store, &stream_b).await);
    assert_eq!((read_a.len(), read_b.len()), (2, 2));
    let first = read_b[0].position;
    let positions = [read_b[0].position, read_a[0].position, read_b[1].position, read_a[1].position];
    assert_eq!(positions, [first, first.plus(1), first.plus(2), first.plus(3)], "in the order of the events");
    assert_eq!(receipt.streams[0].position, first.plus(2));
    assert_eq!(receipt.streams[1].position, first.plus(3));

    // Of two streams one has moved on: the other one must not.
    let torn = trial.unit(vec![event(&stream_a, 3), event(&stream_b, 2)]);
    let rejection = trial.store_in_vain(&store, &[torn]).await;
    assert_eq!(rejection.conflicts, [(stream_b.clone(), 1, 2)]);
    assert_eq!(trial.all_of(&store, &stream_a).await.len(), 2);
}

pub(super) async fn conflicts_carry_both_versions<P: TestEnv<Handle: EventStore>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.env.handle().await, trial.env.handle().await);
    let (stream_a, stream_b, stream_c) = (stream("conflict-a"), stream("conflict-b"), stream("conflict-c"));
    trial.store(&mine, &[trial.unit(events(&stream_a, 1..=2)), trial.unit(events(&stream_b, 1..=5))]).await;

    let late = trial.unit(events(&stream_a, 1..=2));
    assert_eq!(trial.store_in_vain(&other, &[late]).await.conflicts, [(stream_a.clone(), 0, 2)]);
    let late = trial.unit(events(&stream_a, 2..=2));
    assert_eq!(trial.store_in_vain(&other, &[late]).await.conflicts, [(stream_a.clone(), 1, 2)]);

    // Each stream once, with what the first of its events builds on.
    let batch = [
        trial.unit(vec![event(&stream_a, 2), event(&stream_b, 3), event(&stream_c, 1)]),
        trial.unit(vec![event(&stream_a, 3), event(&stream_b, 4)]),
    ];
    let mut conflicts = trial.store_in_vain(&other, &batch).await.conflicts;
    conflicts.sort();
    assert_eq!(conflicts, [(stream_a.clone(), 1, 2), (stream_b.clone(), 2, 5)]);

    // A batch from the future could still fit later, so a store that may fail is not asked.
    if trial.is_honest() {
        let early = trial.unit(events(&stream_a, 4..=4));
        assert_eq!(trial.store_in_vain(&mine, &[early]).await.conflicts, [(stream_a.clone(), 3, 2)]);
        let early = trial.unit(events(&stream_c, 2..=2));
        assert_eq!(trial.store_in_vain(&mine, &[early]).await.conflicts, [(stream_c.clone(), 1, 0)]);
    }
    assert_eq!(trial.all_of(&mine, &stream_a).await.last().map(|event| event.version), Some(Version::new(2)));
    assert_eq!(trial.all_of(&mine, &stream_b).await.last().map(|event| event.version), Some(Version::new(5)));
    assert_eq!(trial.all_of(&mine, &stream_c).await.len(), 0);
}
