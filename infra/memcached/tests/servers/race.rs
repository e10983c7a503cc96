//! Concurrent reads, fills, refreshes and invalidations, checked against a model (G7).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use diptych_kernel::{
    Position, Timestamp,
    ports::{CacheRead, CachedRow, ViewCache},
};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::task::JoinSet;

use crate::harness::{SEATS, config, key, open, shared_server};

const KEYS: usize = 3;
const ROUNDS: usize = 12;
const STEPS: usize = 120;

/// The read database behind the cache, and the newest row seen of each key.
struct RaceModel {
    /// The position of each key's row, and of the last change of all.
    store: Mutex<([i64; KEYS], i64)>,
    /// The newest row of each key that was read or is known to be cached: its position and `current_up_to`.
    seen: [Mutex<(i64, i64)>; KEYS],
    hits: AtomicUsize,
    fills_accepted: AtomicUsize,
    /// True if several owners refresh old rows in any order; then there are no invalidations.
    has_zombies: bool,
}

impl RaceModel {
    fn row(&self, number: usize) -> CachedRow {
        let store = self.store.lock();
        row(number, store.0[number], store.1)
    }

    fn seen(&self, number: usize) -> (i64, i64) {
        *self.seen[number].lock()
    }

    fn raise(&self, number: usize, row: &CachedRow) {
        let mut seen = self.seen[number].lock();
        *seen = (*seen).max((row.position.as_i64(), row.current_up_to.as_i64()));
    }

    /// Asserts that a returned row is not older than any returned before its read began.
    fn check_returned(&self, number: usize, row: &CachedRow, before: (i64, i64)) {
        let (position, current_up_to) = (row.position.as_i64(), row.current_up_to.as_i64());
        assert_eq!(*row, self::row(number, position, current_up_to), "not a row of this key");
        let is_older = if self.has_zombies { (position, current_up_to) < before } else { position < before.0 };
        assert!(!is_older, "after {before:?} a reader got {position} as of {current_up_to}");
        self.raise(number, row);
    }
}

fn row(number: usize, position: i64, current_up_to: i64) -> CachedRow {
    CachedRow {
        position: Position::from_i64(position).unwrap(),
        current_up_to: Position::from_i64(current_up_to).unwrap(),
        as_of: Timestamp::from_micros(current_up_to),
        body: Some(Bytes::from(format!("{number} at {position}"))),
    }
}

async fn read(model: &RaceModel, cache: &MemcachedViewCache, number: usize, dice: &mut SmallRng) {
    let before = model.seen(number);
    match cache.read(SEATS, &[key(number)]).await.unwrap().remove(0) {
        CacheRead::Hit(row) => {
            model.hits.fetch_add(1, Ordering::Relaxed);
            model.check_returned(number, &row, before);
        }
        CacheRead::Miss(lease) => {
            let row = model.row(number);
            // Simulates a slow reader.
            for _ in 0..dice.random_range(0..20) {
                tokio::task::yield_now().await;
            }
            if cache.fill(SEATS, &key(number), lease, row.clone()).await.unwrap() {
                model.fills_accepted.fetch_add(1, Ordering::Relaxed);
                model.raise(number, &row);
            }
        }
        CacheRead::Filling => {}
    }
}

/// The owner of the rows: refreshes each after the read database has it, in order.
async fn project(
    model: &RaceModel,
    cache: &MemcachedViewCache,
    late: &mut Vec<(usize, CachedRow)>,
    dice: &mut SmallRng,
) {
    let number = dice.random_range(0..KEYS);
    let row = {
        let mut store = model.store.lock();
        store.1 += 1;
        store.0[number] = store.1;
        row(number, store.1, store.1)
    };
    let mut rows = vec![(number, row.clone())];
    if model.has_zombies {
        late.push((number, row));
        // Repeats earlier writes in any order.
        rows = (0..dice.random_range(1..4)).map(|_| late[dice.random_range(0..late.len())].clone()).collect();
    }
    let refreshed: Vec<_> = rows.iter().map(|(number, row)| (key(*number), row.clone())).collect();
    cache.refresh(SEATS, &refreshed).await.unwrap();
    rows.iter().for_each(|(number, row)| model.raise(*number, row));
}

async fn run(server: &str, has_zombies: bool, seed: &AtomicU64) -> (usize, usize) {
    let config = MemcachedConfig { lease_ttl: Duration::from_secs(60), connections_per_server: 2, ..config(&[server]) };
    let model = Arc::new(RaceModel {
        store: Mutex::new(([0; KEYS], 0)),
        seen: Default::default(),
        hits: AtomicUsize::new(0),
        fills_accepted: AtomicUsize::new(0),
        has_zombies,
    });
    let handles = [Arc::new(open(&config).await), Arc::new(open(&config).await)];
    let mut tasks = JoinSet::new();
    for task in 0..8_usize {
        let (model, cache) = (Arc::clone(&model), Arc::clone(&handles[task % 2]));
        let mut dice = SmallRng::seed_from_u64(seed.fetch_add(1, Ordering::Relaxed));
        tasks.spawn(async move {
            let mut late = Vec::new();
            for _ in 0..STEPS {
                // One owner, as of a partition; several with zombies, which were replaced and do not know it.
                let projects = task == 0 || (has_zombies && task < 3);
                if projects {
                    project(&model, &cache, &mut late, &mut dice).await;
                } else if task == 3 && !has_zombies && dice.random_bool(0.5) {
                    cache.invalidate(SEATS, &[key(dice.random_range(0..KEYS))]).await.unwrap();
                } else {
                    read(&model, &cache, dice.random_range(0..KEYS), &mut dice).await;
                }
            }
        });
    }
    tasks.join_all().await;
    (model.hits.load(Ordering::Relaxed), model.fills_accepted.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_older_row_ever_replaces_a_newer_one() {
    let Some(server) = shared_server() else { return };
    let seed = AtomicU64::new(1);
    let (mut hits, mut fills_accepted) = (0, 0);
    for round in 0..ROUNDS {
        let (more_hits, more_fills) = run(&server, round % 2 == 1, &seed).await;
        hits += more_hits;
        fills_accepted += more_fills;
    }
    assert!(hits > 1_000 && fills_accepted > 10, "too few to test anything: {hits} hits and {fills_accepted} fills");
}
