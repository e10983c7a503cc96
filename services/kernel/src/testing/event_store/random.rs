//! Random operations against a model.

use std::{collections::BTreeMap, sync::Arc};

use super::fixture::{FORMAT, check_page, event, from_start, snapshot, stream};
use crate::{
    ports::{AppendUnit, EventStore, StoredRequest, StreamLoad},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::{Position, RecordedEvent, StreamId, Version},
};

const STEPS: usize = 25;

/// Expected content of the store.
struct Model {
    start: Position,
    streams: Vec<StreamId>,
    events: BTreeMap<Position, RecordedEvent>,
    requests: Vec<(AppendUnit, StoredRequest)>,
}

impl Model {
    fn version(&self, stream_id: &StreamId) -> u32 {
        self.of(stream_id).last().map_or(0, |event| event.version.number())
    }

    fn of(&self, stream_id: &StreamId) -> Vec<RecordedEvent> {
        self.events.values().filter(|event| event.stream_id == *stream_id).cloned().collect()
    }

    fn after(&self, cursor: Position) -> Vec<RecordedEvent> {
        self.events.values().filter(|event| event.position > cursor).cloned().collect()
    }
}

pub(super) async fn random_operations_agree_with_a_model<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let (_, start) = run.read_all_after(&handles[0], Position::START, 1_000).await;
    let streams = (0..4).map(|number| stream(&format!("random-{number}"))).collect();
    let mut model = Model { start, streams, events: BTreeMap::new(), requests: Vec::new() };
    for _ in 0..STEPS {
        let store = run.pick(&handles);
        match run.random_below(10) {
            0..4 => append(run, store, &mut model).await,
            4 => append_too_late(run, store, &model).await,
            5 => repeat(run, store, &model).await,
            6 => load(run, store, &model).await,
            7 => read_tail(run, store, &model).await,
            8 => read_partition(run, store, &model).await,
            _ => read_stream(run, store, &model).await,
        }
    }
    for store in &handles {
        let (all, _) = run.read_all_after(store, model.start, 7).await;
        assert_eq!(all, model.after(model.start));
    }
}

async fn append<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, store: &Arc<P::Handle>, model: &mut Model) {
    let mut versions: Vec<_> = model.streams.iter().map(|stream_id| model.version(stream_id)).collect();
    let mut batch = Vec::new();
    for _ in 0..=run.random_below(3) {
        let mut events = Vec::new();
        for _ in 0..=run.random_below(4) {
            let chosen = run.random_below(versions.len());
            versions[chosen] += 1;
            events.push(event(&model.streams[chosen], versions[chosen]));
        }
        batch.push(run.unit(events));
    }
    let touched = batch[0].events[0].stream_id.clone();
    let snapshots: Vec<_> = run
        .random_bool(0.3)
        .then(|| snapshot(&touched, batch[0].events[0].version.number(), FORMAT))
        .into_iter()
        .collect();
    let receipts = run
        .try_store(store, &batch, &snapshots)
        .await
        .unwrap_or_else(|rejection| panic!("expected versions {versions:?}, got conflicts {:?}", rejection.conflicts));
    for (unit, receipt) in batch.into_iter().zip(receipts) {
        // Positions are consecutive and the receipt holds the last one, so the first one follows.
        let last = receipt.streams.iter().map(|stream| stream.position).max().unwrap();
        let first = last.as_i64() + 1 - i64::try_from(unit.events.len()).unwrap();
        for (index, new) in unit.events.iter().enumerate() {
            let position = Position::from_i64(first + i64::try_from(index).unwrap()).unwrap();
            let recorded = RecordedEvent {
                position,
                partition: store.partitions().of(&new.stream_id),
                stream_id: new.stream_id.clone(),
                version: new.version,
                event_type: new.event_type.clone(),
                payload: new.payload.clone(),
                metadata: unit.metadata.clone(),
                request_id: unit.request_id,
                recorded_at: receipt.committed_at,
            };
            let newest = model.of(&new.stream_id).last().map_or(Position::START, |event| event.position);
            assert!(position > newest, "position grows with version");
            assert!(model.events.insert(position, recorded).is_none(), "position {position} was assigned twice");
        }
        let stored = StoredRequest::committed(unit.fingerprint, receipt);
        model.requests.push((unit, stored));
    }
}

async fn append_too_late<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, store: &Arc<P::Handle>, model: &Model) {
    let stream_id = run.pick(&model.streams);
    let actual = model.version(stream_id);
    if actual == 0 {
        return;
    }
    let expected = u32::try_from(run.random_below(usize::try_from(actual).unwrap())).unwrap();
    let unit = run.unit(vec![event(stream_id, expected + 1)]);
    let rejection = run.expect_rejection(store, &[unit]).await;
    assert_eq!(rejection.conflicts, [(stream_id.clone(), expected, actual)]);
    assert!(rejection.done.is_empty());
}

async fn repeat<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, store: &Arc<P::Handle>, model: &Model) {
    if model.requests.is_empty() {
        return;
    }
    let (unit, stored) = run.pick(&model.requests);
    assert_eq!(run.repeat(store, std::slice::from_ref(unit)).await, std::slice::from_ref(stored));
}

async fn load<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, store: &Arc<P::Handle>, model: &Model) {
    let loads: Vec<_> = model
        .streams
        .iter()
        .map(|stream_id| {
            let known = run.random_below(usize::try_from(model.version(stream_id)).unwrap() + 1);
            let known_version = Version::new(u32::try_from(known).unwrap());
            StreamLoad { known_version, ..from_start(stream_id) }
        })
        .collect();
    let loaded = run.retry("load", async || store.load(&loads, FORMAT, &[]).await).await;
    assert_eq!(loaded.streams.len(), loads.len());
    for (wanted, slice) in loads.iter().zip(&loaded.streams) {
        assert_eq!(slice.stream_id, wanted.stream_id);
        let from = slice.snapshot.as_ref().map_or(wanted.known_version, |found| {
            assert_eq!(wanted.known_version, Version::NONE, "a snapshot is only returned for a load from the start");
            assert_eq!(*found, snapshot(&wanted.stream_id, found.version.number(), FORMAT));
            found.version
        });
        let mut expected = model.of(&wanted.stream_id);
        expected.retain(|event| event.version > from);
        assert_eq!(slice.events, expected);
    }
}

/// A cursor to read from: the start, or a known event.
fn some_cursor<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, model: &Model) -> Position {
    let positions: Vec<_> = model.events.keys().copied().collect();
    if positions.is_empty() || run.random_bool(0.2) { model.start } else { *run.pick(&positions) }
}

async fn read_tail<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, store: &Arc<P::Handle>, model: &Model) {
    let (cursor, limit) = (some_cursor(run, model), 1 + run.random_below(8));
    let page = run.retry("read_after", async || store.read_after(cursor, limit).await).await;
    check_page(&page.events, cursor, page.complete_up_to, limit);
    let mut expected = model.after(cursor);
    // There are no concurrent writers, so nothing may be withheld.
    expected.truncate(limit);
    assert_eq!(page.events, expected);
}

async fn read_partition<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, store: &Arc<P::Handle>, model: &Model) {
    let (cursor, limit) = (some_cursor(run, model), 1 + run.random_below(8));
    let partition = store.partitions().of(run.pick(&model.streams));
    let page =
        run.retry("read_partition_after", async || store.read_partition_after(partition, cursor, limit).await).await;
    check_page(&page.events, cursor, page.complete_up_to, limit);
    let mut expected = model.after(cursor);
    expected.retain(|event| event.partition == partition);
    expected.truncate(limit);
    assert_eq!(page.events, expected);
}

async fn read_stream<P: TestEnv<Handle: EventStore>>(run: &SuiteRun<'_, P>, store: &Arc<P::Handle>, model: &Model) {
    let stream_id = run.pick(&model.streams);
    let (after, limit) = (run.random_below(6), 1 + run.random_below(6));
    let after_exclusive = Version::new(u32::try_from(after).unwrap());
    let read =
        run.retry("read_stream_after", async || store.read_stream_after(stream_id, after_exclusive, limit).await).await;
    let expected: Vec<_> = model.of(stream_id).into_iter().skip(after).take(limit).collect();
    assert_eq!(read, expected);
}
