//! Readers, fillers, refreshers and forgetters at the same time, against a model (G7).

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

use crate::stage::{SEATS, config, key, open, shared_server};

const KEYS: usize = 3;
const ROUNDS: usize = 12;
const STEPS: usize = 120;

/// The read database behind the cache, and what has been seen.
struct World {
    /// The position of each key's row, and of the last change of all.
    store: Mutex<([i64; KEYS], i64)>,
    /// The newest that was seen of each key, or that is known to be there: as position and `as_of`.
    seen: [Mutex<(i64, i64)>; KEYS],
    hits: AtomicUsize,
    fills_taken: AtomicUsize,
    /// Rows may be refreshed in any order, but nothing is ever forgotten.
    has_zombies: bool,
}

impl World {
    fn row(&self, number: usize) -> CachedRow {
        let store = self.store.lock();
        row(number, store.0[number], store.1)
    }

    fn seen(&self, number: usize) -> (i64, i64) {
        *self.seen[number].lock()
    }

    fn raise(&self, number: usize, row: &CachedRow) {
        let mut seen = self.seen[number].lock();
        *seen = (*seen).max((row.position.as_i64(), row.as_of.as_i64()));
    }

    /// A row that is told must not be older than any that was told before the call for it began.
    fn tell(&self, number: usize, row: &CachedRow, before: (i64, i64)) {
        let (position, as_of) = (row.position.as_i64(), row.as_of.as_i64());
        assert_eq!(*row, self::row(number, position, as_of), "not a row of this key");
        let is_older = if self.has_zombies { (position, as_of) < before } else { position < before.0 };
        assert!(!is_older, "after {before:?} a reader is told {position} as of {as_of}");
        self.raise(number, row);
    }
}

fn row(number: usize, position: i64, as_of: i64) -> CachedRow {
    CachedRow {
        position: Position::from_i64(position).unwrap(),
        as_of: Position::from_i64(as_of).unwrap(),
        as_of_time: Timestamp::from_micros(as_of),
        body: Some(Bytes::from(format!("{number} at {position}"))),
    }
}

async fn read(world: &World, cache: &MemcachedViewCache, number: usize, dice: &mut SmallRng) {
    let before = world.seen(number);
    match cache.read(SEATS, &[key(number)]).await.unwrap().remove(0) {
        CacheRead::Hit(row) => {
            world.hits.fetch_add(1, Ordering::Relaxed);
            world.tell(number, &row, before);
        }
        CacheRead::Miss(lease) => {
            let row = world.row(number);
            // A slow reader.
            for _ in 0..dice.random_range(0..20) {
                tokio::task::yield_now().await;
            }
            if cache.fill(SEATS, &key(number), lease, row.clone()).await.unwrap() {
                world.fills_taken.fetch_add(1, Ordering::Relaxed);
                world.raise(number, &row);
            }
        }
        CacheRead::Filling => {}
    }
}

/// The owner of the rows: each is refreshed after the read database has it, in order.
async fn project(world: &World, cache: &MemcachedViewCache, late: &mut Vec<(usize, CachedRow)>, dice: &mut SmallRng) {
    let number = dice.random_range(0..KEYS);
    let row = {
        let mut store = world.store.lock();
        store.1 += 1;
        store.0[number] = store.1;
        row(number, store.1, store.1)
    };
    let mut rows = vec![(number, row.clone())];
    if world.has_zombies {
        late.push((number, row));
        // Whatever has been written before, in any order.
        rows = (0..dice.random_range(1..4)).map(|_| late[dice.random_range(0..late.len())].clone()).collect();
    }
    let told: Vec<_> = rows.iter().map(|(number, row)| (key(*number), row.clone())).collect();
    cache.refresh(SEATS, &told).await.unwrap();
    rows.iter().for_each(|(number, row)| world.raise(*number, row));
}

async fn run(server: &str, has_zombies: bool, seed: &AtomicU64) -> (usize, usize) {
    let config = MemcachedConfig { lease_ttl: Duration::from_secs(60), connections_per_server: 2, ..config(&[server]) };
    let world = Arc::new(World {
        store: Mutex::new(([0; KEYS], 0)),
        seen: Default::default(),
        hits: AtomicUsize::new(0),
        fills_taken: AtomicUsize::new(0),
        has_zombies,
    });
    let handles = [Arc::new(open(&config).await), Arc::new(open(&config).await)];
    let mut tasks = JoinSet::new();
    for task in 0..8_usize {
        let (world, cache) = (Arc::clone(&world), Arc::clone(&handles[task % 2]));
        let mut dice = SmallRng::seed_from_u64(seed.fetch_add(1, Ordering::Relaxed));
        tasks.spawn(async move {
            let mut late = Vec::new();
            for _ in 0..STEPS {
                // One owner, as of a partition; several where zombies are about.
                let projects = task == 0 || (has_zombies && task < 3);
                if projects {
                    project(&world, &cache, &mut late, &mut dice).await;
                } else if task == 3 && !has_zombies && dice.random_bool(0.5) {
                    cache.invalidate(SEATS, &[key(dice.random_range(0..KEYS))]).await.unwrap();
                } else {
                    read(&world, &cache, dice.random_range(0..KEYS), &mut dice).await;
                }
            }
        });
    }
    tasks.join_all().await;
    (world.hits.load(Ordering::Relaxed), world.fills_taken.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_older_row_ever_takes_the_place_of_a_newer_one() {
    let Some(server) = shared_server() else { return };
    let seed = AtomicU64::new(1);
    let (mut hits, mut fills_taken) = (0, 0);
    for round in 0..ROUNDS {
        let (more_hits, more_fills) = run(&server, round % 2 == 1, &seed).await;
        hits += more_hits;
        fills_taken += more_fills;
    }
    assert!(hits > 1_000 && fills_taken > 10, "{hits} hits and {fills_taken} fills tested nothing");
}
