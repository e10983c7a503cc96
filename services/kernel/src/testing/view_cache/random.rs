//! Readers, writers and a cache that forgets, in random order.

use std::{collections::BTreeMap, sync::Arc};

use super::{row, view};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, ViewCache},
    testing::{TestEnv, support::Trial},
    vocabulary::Position,
};

const STEPS: usize = 80;

/// The read database behind the cache, and what is on its way to the cache.
struct World {
    table: ViewId,
    keys: Vec<RowKey>,
    /// The positions at which each key has changed.
    changes: BTreeMap<RowKey, Vec<i64>>,
    /// The position of the last change of all.
    progress: i64,
    /// Readers that have missed, with what they read afterwards.
    fills: Vec<(RowKey, FillLease, CachedRow)>,
    /// Rows that are durable and that the cache was not told about yet, per key in order.
    refreshes: Vec<(RowKey, CachedRow)>,
    /// What a reader of a key has seen at the most, or must see at the least.
    seen: BTreeMap<RowKey, (Position, Position)>,
    /// Nothing is ever forgotten, so that rows may also come in the wrong order, as from an owner that was replaced.
    has_zombies: bool,
}

impl World {
    /// The row that the read database has.
    fn current(&self, key: &RowKey) -> CachedRow {
        row(key, *self.changes[key].last().unwrap(), self.progress)
    }

    fn raise(&mut self, key: &RowKey, row: &CachedRow) {
        let seen = self.seen.entry(key.clone()).or_default();
        *seen = (*seen).max((row.position, row.as_of));
    }

    fn check_hit(&mut self, key: &RowKey, hit: &CachedRow) {
        assert_eq!(*hit, row(key, hit.position.as_i64(), hit.as_of.as_i64()), "not a row of this key");
        assert!(hit.as_of >= hit.position);
        let (position, as_of) = (hit.position.as_i64(), hit.as_of.as_i64());
        let missed = self.changes[key].iter().find(|change| position < **change && **change <= as_of);
        assert_eq!(missed, None, "the row at {position} is not right up to {as_of}");
        let seen = self.seen.get(key).copied().unwrap_or_default();
        assert!(hit.position >= seen.0, "after {seen:?} a reader sees {position} as of {as_of}");
        if self.has_zombies {
            assert!((hit.position, hit.as_of) >= seen, "after {seen:?} a reader sees {position} as of {as_of}");
        }
        self.raise(key, hit);
    }
}

pub(super) async fn what_readers_see_never_goes_back<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let handles = [trial.env.handle().await, trial.env.handle().await];
    let keys: Vec<_> = ["a", "b", "c"].map(RowKey::single).into();
    let changes = keys.iter().map(|key| (key.clone(), vec![1])).collect();
    let mut world = World {
        table: view("random"),
        keys,
        changes,
        progress: 1,
        fills: Vec::new(),
        refreshes: Vec::new(),
        seen: BTreeMap::new(),
        has_zombies: trial.env.retains_entries() && trial.chance(0.5),
    };
    for _ in 0..STEPS {
        let cache = trial.pick(&handles);
        match trial.below(10) {
            0..4 => read(trial, cache, &mut world).await,
            4..6 => fill(trial, cache, &mut world).await,
            6 => write(trial, &mut world),
            7..9 => refresh(trial, cache, &mut world).await,
            _ if world.has_zombies => {}
            _ => {
                let key = trial.pick(&world.keys).clone();
                trial.invalidate(cache, world.table, &key).await;
            }
        }
    }
}

async fn read<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>, cache: &Arc<P::Handle>, world: &mut World) {
    let asked: Vec<_> = (0..=trial.below(2)).map(|_| trial.pick(&world.keys).clone()).collect();
    let answers = trial.look_up_all(cache, world.table, &asked).await;
    for (key, answer) in asked.into_iter().zip(answers) {
        match answer {
            CacheRead::Hit(hit) => world.check_hit(&key, &hit),
            CacheRead::Miss(lease) => {
                let row = world.current(&key);
                world.fills.push((key, lease, row));
            }
            CacheRead::Filling => {}
        }
    }
}

/// One of the readers, not always the first, gets round to filling.
async fn fill<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>, cache: &Arc<P::Handle>, world: &mut World) {
    if world.fills.is_empty() {
        return;
    }
    let (key, lease, row) = world.fills.swap_remove(trial.below(world.fills.len()));
    if trial.fill(cache, world.table, &key, lease, &row).await == Some(true) {
        world.raise(&key, &row);
    }
}

fn write<P: TestEnv>(trial: &Trial<'_, P>, world: &mut World) {
    let key = trial.pick(&world.keys).clone();
    // A projector tells the cache before it goes on with the row.
    if !world.has_zombies && world.refreshes.iter().any(|(waiting, _)| *waiting == key) {
        return;
    }
    world.progress += 1;
    world.changes.get_mut(&key).unwrap().push(world.progress);
    let row = world.current(&key);
    world.refreshes.push((key, row));
}

/// The projector tells the cache, later than the read database. A zombie is late with what was replaced.
async fn refresh<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>, cache: &Arc<P::Handle>, world: &mut World) {
    if world.refreshes.is_empty() {
        return;
    }
    let next = if world.has_zombies { trial.below(world.refreshes.len()) } else { 0 };
    let (key, row) = world.refreshes.remove(next);
    trial.refresh(cache, world.table, &key, &row).await;
    world.raise(&key, &row);
}
