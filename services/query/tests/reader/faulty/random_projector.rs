//! Projector that performs its steps in the right order despite faults: rows, cache, progress.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    Partition, StreamId,
    domain::{RowKey, ViewId},
    ports::{CachedRow, PortResult, Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewCache, ViewStore},
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{
    ENTRIES, SEATS, Simulation, TOTALS, VIEWS,
    committed_events::{partition_of, streams},
};
use crate::harness::{key, partitions, position, time};

const BATCHES: usize = 25;

pub(crate) fn total_key(partition: Partition) -> RowKey {
    RowKey::single(&format!("sum-{partition}"))
}

pub(crate) fn entry_key(at: i64) -> Bytes {
    Bytes::copy_from_slice(&at.to_be_bytes())
}

/// Commits events and projects each batch some time later.
pub(crate) async fn project(simulation: &Simulation, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
    for _ in 0..BATCHES {
        let events: Vec<_> = (0..rng.random_range(1..=3)).map(|_| commit(simulation, &mut rng)).collect();
        pause_up_to(&mut rng, 4).await;
        let rows: Vec<_> = events.iter().flat_map(|(at, stream)| rows_of(simulation, *at, stream)).collect();
        retry_until_done(|| simulation.store.write(&rows)).await;
        pause_up_to(&mut rng, 2).await;
        refresh(simulation, &rows).await;
        pause_up_to(&mut rng, 2).await;
        save(simulation, &mut rng, &events).await;
    }
    let last = simulation.committed.borrow().last();
    let final_updates = updates(partitions().iter(), last);
    retry_until_done(|| simulation.store.save(&final_updates)).await;
}

fn commit(simulation: &Simulation, rng: &mut SmallRng) -> (i64, StreamId) {
    let stream = streams().choose(rng).unwrap().clone();
    let at = simulation.committed.borrow_mut().commit(&stream, rng.random_range(1..5));
    (at, stream)
}

fn rows_of(simulation: &Simulation, at: i64, stream: &StreamId) -> Vec<RowWrite> {
    let count = simulation.committed.borrow().count(partition_of(stream), at);
    let write = |view: ViewId, key: RowKey, body: String| {
        let row = Row { position: position(at), body: Some(body.into()) };
        RowWrite { view, key, row }
    };
    vec![
        write(SEATS, key(stream), at.to_string()),
        write(ENTRIES, RowKey::new(stream.as_str(), entry_key(at)), at.to_string()),
        write(ENTRIES, RowKey::new("all", stream.as_str().to_owned()), at.to_string()),
        write(TOTALS, total_key(partition_of(stream)), count.to_string()),
    ]
}

/// Tries one refresh, then a few invalidations. If all fail, the cache stays behind, which no call with a token may
/// notice.
async fn refresh(simulation: &Simulation, rows: &[RowWrite]) {
    for view in [SEATS, TOTALS] {
        let rows: Vec<_> =
            rows.iter().filter(|row| row.view == view).map(|row| (row.key.clone(), cached(row))).collect();
        if simulation.cache.refresh(view, &rows).await.is_ok() {
            continue;
        }
        let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
        for _ in 0..2 {
            if simulation.cache.invalidate(view, &keys).await.is_ok() {
                break;
            }
        }
    }
}

fn cached(write: &RowWrite) -> CachedRow {
    let Row { position, body } = write.row.clone();
    CachedRow { position, current_up_to: position, as_of: time(position.as_i64()), body }
}

/// Saves progress up to the last event for the partitions that had events, and for others at random.
async fn save(simulation: &Simulation, rng: &mut SmallRng, events: &[(i64, StreamId)]) {
    let last = simulation.committed.borrow().last();
    let had_events = |partition: &Partition| events.iter().any(|(_, stream)| partition_of(stream) == *partition);
    let moved = updates(partitions().iter().filter(|p| had_events(p) || rng.random_bool(0.3)), last);
    retry_until_done(|| simulation.store.save(&moved)).await;
}

fn updates(moved: impl Iterator<Item = Partition>, at: i64) -> Vec<ProgressUpdate> {
    let progress = Progress { position: position(at), as_of: time(at), ..Progress::default() };
    moved
        .flat_map(|partition| VIEWS.map(|view| ProgressUpdate { view, partition, progress: progress.clone() }))
        .collect()
}

async fn retry_until_done<F: Future<Output = PortResult<()>>>(attempt: impl Fn() -> F) {
    while attempt().await.is_err() {
        diptych_runtime::pause(Duration::from_millis(1)).await;
    }
}

async fn pause_up_to(rng: &mut SmallRng, millis_max: u64) {
    diptych_runtime::pause(Duration::from_millis(rng.random_range(0..=millis_max))).await;
}
