//! A reader and a projector behind networks that fail at any time (G7): the reader never returns an older row than
//! before.
//!
//! The reader follows the documentation of the crate: a row that the cache does not return is read from the read
//! database, and its key is invalidated before the row is returned.

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
    harness::{SEATS, config, key, open, row, shared_server},
    proxy::{Network, Proxy},
};

const KEYS: usize = 4;
const READERS: usize = 12;
/// Time of the run, which is longer on a slow machine: until there were enough hits and failures to test anything.
const RUN_TIME: Duration = Duration::from_secs(4);
const RUN_TIME_MAX: Duration = Duration::from_secs(60);
const HITS_MIN: usize = 100;
const FAILURES_MIN: usize = 20;

/// Timeout of a reader's call.
const CALL_TIMEOUT: Duration = Duration::from_millis(30);

/// The read database behind the cache, and the newest row that a reader returned of each key.
#[derive(Default)]
struct ChaosModel {
    store: Mutex<BTreeMap<usize, i64>>,
    returned: Mutex<BTreeMap<usize, i64>>,
    is_over: AtomicBool,
    hits: AtomicUsize,
    failures: AtomicUsize,
}

impl ChaosModel {
    /// Reads the position in the read database, with random delays.
    async fn stored(&self, number: usize, dice: &mut SmallRng) -> i64 {
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..5_000))).await;
        let position = self.store.lock().get(&number).copied().unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..5_000))).await;
        position
    }

    fn has_enough(&self) -> bool {
        self.hits.load(Ordering::Relaxed) > HITS_MIN && self.failures.load(Ordering::Relaxed) > FAILURES_MIN
    }

    fn returned(&self, number: usize) -> i64 {
        self.returned.lock().get(&number).copied().unwrap_or(0)
    }

    fn record_returned(&self, number: usize, position: i64, before: i64) {
        assert!(position >= before, "after position {before} the row of seat {number} was returned at {position}");
        let mut returned = self.returned.lock();
        let returned = returned.entry(number).or_default();
        *returned = position.max(*returned);
    }
}

/// One call of a reader.
async fn read(model: &ChaosModel, cache: &MemcachedViewCache, number: usize, dice: &mut SmallRng) {
    let before = model.returned(number);
    let invalidate = async || {
        let _ = timeout(CALL_TIMEOUT, cache.invalidate(SEATS, &[key(number)])).await;
    };
    let found = timeout(CALL_TIMEOUT, cache.read(SEATS, &[key(number)])).await;
    let position = match found.ok().and_then(Result::ok).and_then(|mut reads| reads.pop()) {
        Some(CacheRead::Hit(row)) => {
            model.hits.fetch_add(1, Ordering::Relaxed);
            row.position.as_i64()
        }
        Some(CacheRead::Miss(lease)) => {
            let position = model.stored(number, dice).await;
            match timeout(CALL_TIMEOUT, cache.fill(SEATS, &key(number), lease, row(position))).await {
                Ok(Ok(true)) => position,
                Ok(Ok(false)) => {
                    let position = model.stored(number, dice).await;
                    invalidate().await;
                    position
                }
                _ => {
                    invalidate().await;
                    position
                }
            }
        }
        Some(CacheRead::Filling) => {
            let position = model.stored(number, dice).await;
            invalidate().await;
            position
        }
        None => {
            model.failures.fetch_add(1, Ordering::Relaxed);
            let position = model.stored(number, dice).await;
            invalidate().await;
            position
        }
    };
    model.record_returned(number, position, before);
}

async fn project(model: &ChaosModel, cache: &MemcachedViewCache, number: usize) {
    let position = {
        let mut store = model.store.lock();
        let position = store.entry(number).or_default();
        *position += 1;
        *position
    };
    // Like the projector, which does not repeat a failed refresh.
    let _ = cache.refresh(SEATS, &[(key(number), row(position))]).await;
}

/// Disturbs the network at random, for durations around the handles' timeouts.
async fn disturb(model: &ChaosModel, proxy: &Proxy, mut dice: SmallRng) {
    let begun_at = Instant::now();
    let is_over = || {
        let ran = begun_at.elapsed();
        ran >= RUN_TIME_MAX || (ran >= RUN_TIME && model.has_enough())
    };
    while !is_over() {
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
    model.is_over.store(true, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_returns_an_older_row_whatever_the_network_does() {
    let Some(server) = shared_server() else { return };
    let seed = std::env::var("DIPTYCH_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (reader_proxy, projector_proxy) =
        (Arc::new(Proxy::start(&server).await), Arc::new(Proxy::start(&server).await));
    let base = MemcachedConfig {
        connect_timeout: Duration::from_millis(40),
        request_timeout: Duration::from_millis(40),
        lease_ttl: Duration::from_secs(1),
        ..config(&[&server])
    };
    let through = |proxy: &Proxy| MemcachedConfig { servers: vec![proxy.address.clone()], ..base.clone() };
    let reader = Arc::new(open(&through(&reader_proxy)).await);
    let projector = Arc::new(open(&through(&projector_proxy)).await);
    let model = Arc::new(ChaosModel::default());
    let mut tasks = JoinSet::new();
    for (number, proxy) in [reader_proxy, projector_proxy].into_iter().enumerate() {
        let (model, dice) = (Arc::clone(&model), SmallRng::seed_from_u64(seed * 100 + u64::try_from(number).unwrap()));
        tasks.spawn(async move { disturb(&model, &proxy, dice).await });
    }
    for task in 0..=READERS {
        let model = Arc::clone(&model);
        let cache = Arc::clone(if task == READERS { &projector } else { &reader });
        let mut dice = SmallRng::seed_from_u64(seed * 100 + 10 + u64::try_from(task).unwrap());
        tasks.spawn(async move {
            while !model.is_over.load(Ordering::Relaxed) {
                let number = dice.random_range(0..KEYS);
                if task == READERS {
                    project(&model, &cache, number).await;
                    tokio::time::sleep(Duration::from_micros(dice.random_range(0..3_000))).await;
                } else {
                    read(&model, &cache, number, &mut dice).await;
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    tasks.join_all().await;
    assert!(model.has_enough(), "too few to test anything: {:?} hits and {:?} failures", model.hits, model.failures);
}
