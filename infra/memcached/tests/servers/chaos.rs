//! A reader and a projector behind networks that break at any time (G7): the reader never tells an older row than before.
//!
//! The reader does what the documentation of the crate says: what the cache does not tell, or fails to, is read from the read database, and
//! forgotten in the cache before it is told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use diptych_kernel::ports::{CacheRead, ViewCache};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    proxy::{Network, Proxy},
    stage::{SEATS, config, key, open, row, shared_server},
};

const KEYS: usize = 4;
const READERS: usize = 12;
const TIME: Duration = Duration::from_secs(4);

/// What a caller waits for.
const PATIENCE: Duration = Duration::from_millis(30);

#[derive(Default)]
struct World {
    store: Mutex<BTreeMap<usize, i64>>,
    told: Mutex<BTreeMap<usize, i64>>,
    is_over: AtomicBool,
    hits: AtomicUsize,
    failures: AtomicUsize,
}

impl World {
    /// What the read database has. It takes its time.
    async fn stored(&self, number: usize, dice: &mut SmallRng) -> i64 {
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..5_000))).await;
        let position = self.store.lock().get(&number).copied().unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..5_000))).await;
        position
    }

    fn told(&self, number: usize) -> i64 {
        self.told.lock().get(&number).copied().unwrap_or(0)
    }

    fn tell(&self, number: usize, position: i64, before: i64) {
        assert!(position >= before, "after {before} the row of seat {number} is told at {position}");
        let mut told = self.told.lock();
        let told = told.entry(number).or_default();
        *told = position.max(*told);
    }
}

/// One call of a reader.
async fn read(world: &World, cache: &MemcachedViewCache, number: usize, dice: &mut SmallRng) {
    let before = world.told(number);
    let forget = async || {
        let _ = timeout(PATIENCE, cache.invalidate(SEATS, &[key(number)])).await;
    };
    let found = timeout(PATIENCE, cache.read(SEATS, &[key(number)])).await;
    let position = match found.ok().and_then(Result::ok).and_then(|mut reads| reads.pop()) {
        Some(CacheRead::Hit(row)) => {
            world.hits.fetch_add(1, Ordering::Relaxed);
            row.position.as_i64()
        }
        Some(CacheRead::Miss(lease)) => {
            let position = world.stored(number, dice).await;
            match timeout(PATIENCE, cache.fill(SEATS, &key(number), lease, row(position))).await {
                Ok(Ok(true)) => position,
                Ok(Ok(false)) => {
                    let position = world.stored(number, dice).await;
                    forget().await;
                    position
                }
                _ => {
                    forget().await;
                    position
                }
            }
        }
        Some(CacheRead::Filling) => {
            let position = world.stored(number, dice).await;
            forget().await;
            position
        }
        None => {
            world.failures.fetch_add(1, Ordering::Relaxed);
            let position = world.stored(number, dice).await;
            forget().await;
            position
        }
    };
    world.tell(number, position, before);
}

async fn project(world: &World, cache: &MemcachedViewCache, number: usize) {
    let position = {
        let mut store = world.store.lock();
        let position = store.entry(number).or_default();
        *position += 1;
        *position
    };
    // As the projector does: what the cache does not take is gone.
    let _ = cache.refresh(SEATS, &[(key(number), row(position))]).await;
}

/// Breaks the network in one way or the other, for times around those that the handles wait for.
async fn meddle(world: &World, proxy: &Proxy, mut dice: SmallRng) {
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        match dice.random_range(0..4) {
            0 => proxy.set(Network::Stalls),
            1 => proxy.set(Network::Broken),
            2 => proxy.break_once(),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..80))).await;
        proxy.set(Network::Works);
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..80))).await;
    }
    world.is_over.store(true, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_goes_back_whatever_the_network_does() {
    let Some(server) = shared_server() else { return };
    let seed = std::env::var("DIPTYCH_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (near_reader, near_projector) = (Arc::new(Proxy::start(&server).await), Arc::new(Proxy::start(&server).await));
    let base = MemcachedConfig {
        connect_timeout: Duration::from_millis(40),
        request_timeout: Duration::from_millis(40),
        lease_ttl: Duration::from_secs(1),
        ..config(&[&server])
    };
    let through = |proxy: &Proxy| MemcachedConfig { servers: vec![proxy.address.clone()], ..base.clone() };
    let reader = Arc::new(open(&through(&near_reader)).await);
    let projector = Arc::new(open(&through(&near_projector)).await);
    let world = Arc::new(World::default());
    let mut tasks = JoinSet::new();
    for (number, proxy) in [near_reader, near_projector].into_iter().enumerate() {
        let (world, dice) = (Arc::clone(&world), SmallRng::seed_from_u64(seed * 100 + u64::try_from(number).unwrap()));
        tasks.spawn(async move { meddle(&world, &proxy, dice).await });
    }
    for task in 0..=READERS {
        let world = Arc::clone(&world);
        let cache = Arc::clone(if task == READERS { &projector } else { &reader });
        let mut dice = SmallRng::seed_from_u64(seed * 100 + 10 + u64::try_from(task).unwrap());
        tasks.spawn(async move {
            while !world.is_over.load(Ordering::Relaxed) {
                let number = dice.random_range(0..KEYS);
                if task == READERS {
                    project(&world, &cache, number).await;
                    tokio::time::sleep(Duration::from_micros(dice.random_range(0..3_000))).await;
                } else {
                    read(&world, &cache, number, &mut dice).await;
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    tasks.join_all().await;
    let (hits, failures) = (world.hits.load(Ordering::Relaxed), world.failures.load(Ordering::Relaxed));
    assert!(hits > 100 && failures > 20, "{hits} hits and {failures} failures tested nothing");
}
