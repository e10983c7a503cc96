//! Snapshots shorten loads and never change their result.

use super::fixture::{FORMAT, events, from_start, snapshot, stream};
use crate::{
    ports::{AppendUnit, EventStore, Snapshot, StreamLoad, StreamSlice},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::Version,
};

async fn load<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
    store: &P::Handle,
    wanted: StreamLoad,
    format: u32,
) -> StreamSlice {
    let loaded = run.retry("load", async || store.load(std::slice::from_ref(&wanted), format, &[]).await).await;
    loaded.streams.into_iter().next().unwrap()
}

async fn store_with<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
    store: &P::Handle,
    unit: AppendUnit,
    snapshot: Snapshot,
) {
    assert!(run.try_store(store, &[unit], &[snapshot]).await.is_ok());
}

fn versions(slice: &StreamSlice) -> Vec<u32> {
    slice.events.iter().map(|event| event.version.number()).collect()
}

pub(super) async fn a_snapshot_shortens_the_load<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (store, stream_id) = (run.env.handle().await, stream("snapshot-short"));
    store_with(run, &store, run.unit(events(&stream_id, 1..=3)), snapshot(&stream_id, 3, FORMAT)).await;
    run.store(&store, &[run.unit(events(&stream_id, 4..=5))]).await;

    let slice = load(run, &store, from_start(&stream_id), FORMAT).await;
    assert_eq!(slice.snapshot, Some(snapshot(&stream_id, 3, FORMAT)));
    assert_eq!(versions(&slice), [4, 5]);
    // A caller with a known version gets the events after it, without a snapshot.
    let known = StreamLoad { stream_id: stream_id.clone(), known_version: Version::new(1) };
    let slice = load(run, &store, known, FORMAT).await;
    assert_eq!(slice.snapshot, None);
    assert_eq!(versions(&slice), [2, 3, 4, 5]);
    // There is no snapshot in another format.
    let slice = load(run, &store, from_start(&stream_id), FORMAT + 1).await;
    assert_eq!(slice.snapshot, None);
    assert_eq!(versions(&slice), [1, 2, 3, 4, 5]);
}

pub(super) async fn older_snapshots_and_other_formats_are_ignored<P: TestEnv<Handle: EventStore>>(
    run: &SuiteRun<'_, P>,
) {
    let (store, stream_id) = (run.env.handle().await, stream("snapshot-old"));
    store_with(run, &store, run.unit(events(&stream_id, 1..=4)), snapshot(&stream_id, 4, FORMAT)).await;
    store_with(run, &store, run.unit(events(&stream_id, 5..=5)), snapshot(&stream_id, 2, FORMAT)).await;
    let slice = load(run, &store, from_start(&stream_id), FORMAT).await;
    assert_eq!(slice.snapshot, Some(snapshot(&stream_id, 4, FORMAT)), "an older snapshot is ignored");
    assert_eq!(versions(&slice), [5]);

    store_with(run, &store, run.unit(events(&stream_id, 6..=6)), snapshot(&stream_id, 6, FORMAT)).await;
    let slice = load(run, &store, from_start(&stream_id), FORMAT).await;
    assert_eq!(slice.snapshot, Some(snapshot(&stream_id, 6, FORMAT)), "a newer snapshot replaces it");
    assert_eq!(versions(&slice), Vec::<u32>::new());

    // After a snapshot in a newer format, a load in the old format may return the old snapshot or none, and then all
    // events.
    store_with(run, &store, run.unit(events(&stream_id, 7..=7)), snapshot(&stream_id, 7, FORMAT + 1)).await;
    let slice = load(run, &store, from_start(&stream_id), FORMAT + 1).await;
    assert_eq!(slice.snapshot, Some(snapshot(&stream_id, 7, FORMAT + 1)));
    let slice = load(run, &store, from_start(&stream_id), FORMAT).await;
    let from = match &slice.snapshot {
        Some(found) => {
            assert_eq!(*found, snapshot(&stream_id, 6, FORMAT));
            7
        }
        None => 1,
    };
    assert_eq!(versions(&slice), (from..=7).collect::<Vec<_>>());
}

pub(super) async fn a_rejected_batch_leaves_no_snapshot<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let (store, stream_id) = (run.env.handle().await, stream("snapshot-rejected"));
    run.store(&store, &[run.unit(events(&stream_id, 1..=2))]).await;
    let late = run.unit(events(&stream_id, 2..=3));
    let wrong = Snapshot { state: "what never was".into(), ..snapshot(&stream_id, 3, FORMAT) };
    assert!(run.try_store(&store, &[late], &[wrong]).await.is_err());
    let slice = load(run, &store, from_start(&stream_id), FORMAT).await;
    assert_eq!(slice.snapshot, None);
    assert_eq!(versions(&slice), [1, 2]);
}
