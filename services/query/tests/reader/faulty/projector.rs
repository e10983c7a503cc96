//! A projector that does its work in the right order, whatever it is told: rows, cache, progress.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    Partition, StreamId,
    domain::{RowKey, ViewId},
    ports::{CachedRow, PortResult, Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewCache, ViewStore},
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{
    ENTRIES, SEATS, TOTALS, VIEWS, World,
    model::{partition_of, streams},
};
use crate::stage::{key, partitions, position, time};

const BATCHES: usize = 25;

pub(crate) fn total_key(partition: Partition) -> RowKey {
    RowKey::single(&format!("sum-{partition}"))
}

pub(crate) fn entry_key(at: i64) -> Bytes {
    Bytes::copy_from_slice(&at.to_be_bytes())
}

/// Commits events, and projects them some time later.
pub(crate) async fn project(world: &World, seed: u64) {
    let mut dice = SmallRng::seed_from_u64(seed ^ 0x5eed);
    for _ in 0..BATCHES {
        let events: Vec<_> = (0..dice.random_range(1..=3)).map(|_| commit(world, &mut dice)).collect();
        pause_up_to(&mut dice, 4).await;
        let rows: Vec<_> = events.iter().flat_map(|(at, stream)| rows_of(world, *at, stream)).collect();
        until_done(|| world.store.write(&rows)).await;
        pause_up_to(&mut dice, 2).await;
        refresh(world, &rows).await;
        pause_up_to(&mut dice, 2).await;
        save(world, &mut dice, &events).await;
    }
    let last = world.model.borrow().last();
    let everything = updates(partitions().iter(), last);
    until_done(|| world.store.save(&everything)).await;
}

fn commit(world: &World, dice: &mut SmallRng) -> (i64, StreamId) {
    let stream = streams().choose(dice).unwrap().clone();
    let at = world.model.borrow_mut().commit(&stream, dice.random_range(1..5));
    (at, stream)
}

fn rows_of(world: &World, at: i64, stream: &StreamId) -> Vec<RowWrite> {
    let count = world.model.borrow().count(partition_of(stream), at);
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

/// One try, then a few to have the keys forgotten: a cache that takes neither stays behind, and nobody may notice who has a token.
async fn refresh(world: &World, rows: &[RowWrite]) {
    for view in [SEATS, TOTALS] {
        let rows: Vec<_> =
            rows.iter().filter(|row| row.view == view).map(|row| (row.key.clone(), cached(row))).collect();
        if world.cache.refresh(view, &rows).await.is_ok() {
            continue;
        }
        let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
        for _ in 0..2 {
            if world.cache.invalidate(view, &keys).await.is_ok() {
                break;
            }
        }
    }
}

fn cached(write: &RowWrite) -> CachedRow {
    let Row { position, body } = write.row.clone();
    CachedRow { position, as_of: position, as_of_time: time(position.as_i64()), body }
}

/// Saves the progress of the partitions that had events, and of others at times: all is projected up to the last event.
async fn save(world: &World, dice: &mut SmallRng, events: &[(i64, StreamId)]) {
    let last = world.model.borrow().last();
    let had_events = |partition: &Partition| events.iter().any(|(_, stream)| partition_of(stream) == *partition);
    let moved = updates(partitions().iter().filter(|p| had_events(p) || dice.random_bool(0.3)), last);
    until_done(|| world.store.save(&moved)).await;
}

fn updates(moved: impl Iterator<Item = Partition>, at: i64) -> Vec<ProgressUpdate> {
    let progress = Progress { position: position(at), as_of: time(at), ..Progress::default() };
    moved
        .flat_map(|partition| VIEWS.map(|view| ProgressUpdate { view, partition, progress: progress.clone() }))
        .collect()
}

async fn until_done<F: Future<Output = PortResult<()>>>(ask: impl Fn() -> F) {
    while ask().await.is_err() {
        diptych_runtime::pause(Duration::from_millis(1)).await;
    }
}

async fn pause_up_to(dice: &mut SmallRng, millis_max: u64) {
    diptych_runtime::pause(Duration::from_millis(dice.random_range(0..=millis_max))).await;
}
