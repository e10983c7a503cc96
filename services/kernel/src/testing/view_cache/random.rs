//! Random interleavings of readers, writers and evictions.

use std::{collections::BTreeMap, sync::Arc};

use super::{row, view};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, ViewCache},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::Position,
};

const STEPS: usize = 80;

/// Model of the read database behind the cache, and of the calls that have not reached the cache yet.
struct CacheModel {
    table: ViewId,
    keys: Vec<RowKey>,
    /// The positions at which each key has changed.
    changes: BTreeMap<RowKey, Vec<i64>>,
    /// The position of the last change of any key.
    progress: i64,
    /// Pending fills: readers that missed, with the row that they read afterwards.
    fills: Vec<(RowKey, FillLease, CachedRow)>,
    /// Pending refreshes: rows that are durable and not in the cache yet, in order per key.
    refreshes: Vec<(RowKey, CachedRow)>,
    /// The largest position and `current_up_to` of each key that a reader has seen, which later reads must not fall
    /// below.
    seen: BTreeMap<RowKey, (Position, Position)>,
    /// True if refreshes may arrive out of order, as from a former partition owner. Only if the cache retains entries.
    has_zombies: bool,
}

impl CacheModel {
    /// The row in the read database.
    fn current(&self, key: &RowKey) -> CachedRow {
        row(key, *self.changes[key].last().unwrap(), self.progress)
    }

    fn raise(&mut self, key: &RowKey, row: &CachedRow) {
        let seen = self.seen.entry(key.clone()).or_default();
        *seen = (*seen).max((row.position, row.current_up_to));
    }

    fn check_hit(&mut self, key: &RowKey, hit: &CachedRow) {
        assert_eq!(*hit, row(key, hit.position.as_i64(), hit.current_up_to.as_i64()), "not a row of this key");
        assert!(hit.current_up_to >= hit.position);
        let (position, current_up_to) = (hit.position.as_i64(), hit.current_up_to.as_i64());
        let missed = self.changes[key].iter().find(|change| position < **change && **change <= current_up_to);
        assert_eq!(missed, None, "the row at {position} is not current up to {current_up_to}");
        let seen = self.seen.get(key).copied().unwrap_or_default();
        assert!(hit.position >= seen.0, "after {seen:?} a reader sees {position} as of {current_up_to}");
        if self.has_zombies {
            assert!(
                (hit.position, hit.current_up_to) >= seen,
                "after {seen:?} a reader sees {position} as of {current_up_to}"
            );
        }
        self.raise(key, hit);
    }
}

pub(super) async fn what_readers_see_never_goes_back<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let handles = [run.env.handle().await, run.env.handle().await];
    let keys: Vec<_> = ["a", "b", "c"].map(RowKey::single).into();
    let changes = keys.iter().map(|key| (key.clone(), vec![1])).collect();
    let mut model = CacheModel {
        table: view("random"),
        keys,
        changes,
        progress: 1,
        fills: Vec::new(),
        refreshes: Vec::new(),
        seen: BTreeMap::new(),
        has_zombies: run.env.retains_entries() && run.random_bool(0.5),
    };
    for _ in 0..STEPS {
        let cache = run.pick(&handles);
        match run.random_below(10) {
            0..4 => read(run, cache, &mut model).await,
            4..6 => fill(run, cache, &mut model).await,
            6 => write(run, &mut model),
            7..9 => refresh(run, cache, &mut model).await,
            _ if model.has_zombies => {}
            _ => {
                let key = run.pick(&model.keys).clone();
                run.invalidate(cache, model.table, &key).await;
            }
        }
    }
}

async fn read<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>, cache: &Arc<P::Handle>, model: &mut CacheModel) {
    let requested: Vec<_> = (0..=run.random_below(2)).map(|_| run.pick(&model.keys).clone()).collect();
    let answers = run.read_keys(cache, model.table, &requested).await;
    for (key, answer) in requested.into_iter().zip(answers) {
        match answer {
            CacheRead::Hit(hit) => model.check_hit(&key, &hit),
            CacheRead::Miss(lease) => {
                let row = model.current(&key);
                model.fills.push((key, lease, row));
            }
            CacheRead::Filling => {}
        }
    }
}

/// Completes a random pending fill.
async fn fill<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>, cache: &Arc<P::Handle>, model: &mut CacheModel) {
    if model.fills.is_empty() {
        return;
    }
    let (key, lease, row) = model.fills.swap_remove(run.random_below(model.fills.len()));
    if run.fill(cache, model.table, &key, lease, &row).await == Some(true) {
        model.raise(&key, &row);
    }
}

fn write<P: TestEnv>(run: &SuiteRun<'_, P>, model: &mut CacheModel) {
    let key = run.pick(&model.keys).clone();
    // A projector refreshes the cache before it changes the row again.
    if !model.has_zombies && model.refreshes.iter().any(|(waiting, _)| *waiting == key) {
        return;
    }
    model.progress += 1;
    model.changes.get_mut(&key).unwrap().push(model.progress);
    let row = model.current(&key);
    model.refreshes.push((key, row));
}

/// Completes a pending refresh: the next one in order, or any one if zombies are simulated.
async fn refresh<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>, cache: &Arc<P::Handle>, model: &mut CacheModel) {
    if model.refreshes.is_empty() {
        return;
    }
    let next = if model.has_zombies { run.random_below(model.refreshes.len()) } else { 0 };
    let (key, row) = model.refreshes.remove(next);
    run.refresh(cache, model.table, &key, &row).await;
    model.raise(&key, &row);
}
