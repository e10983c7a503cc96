//! A read database, its progress and a cache that lie and are slow, a projector that works through all of it, and readers with tokens: whatever is
//! answered is as fresh as it says and as was asked for (G6), and no reader ever goes back (G7).
//!
//! `DIPTYCH_SEEDS` sets how many seeds are tried, 200 by default. A failure prints its seed.

mod model;
mod projector;
mod readers;
mod slow;

use std::{cell::RefCell, sync::Arc, time::Duration};

use diptych_embedded::{EmbeddedViewCache, EmbeddedViewStore, Storage};
use diptych_kernel::{
    domain::ViewId,
    ports::ViewStore,
    testing::{
        faulty::{FaultInjector, FaultyViewCache, FaultyViewStore},
        seeds, with_seed,
    },
};
use diptych_query::{QueryConfig, Reader};
use diptych_runtime::{Shutdown, Tasks};
use futures::future::join_all;

use crate::stage::partitions;
use model::Model;
use slow::SlowStore;

const SEEDS_DEFAULT: u64 = 200;
const READERS: u64 = 4;
const LIES: f64 = 0.2;

/// One row for each stream.
const SEATS: ViewId = ViewId { name: "seats", generation: 1 };
/// Rows by stream, one for each event, and in the group `all` one for each stream of any partition.
const ENTRIES: ViewId = ViewId { name: "entries", generation: 1 };
/// One partial row for each partition.
const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };
const VIEWS: [ViewId; 3] = [SEATS, ENTRIES, TOTALS];

type Store = FaultyViewStore<SlowStore>;
type Cache = FaultyViewCache<EmbeddedViewCache>;

struct World {
    store: Arc<Store>,
    cache: Arc<Cache>,
    reader: Reader<Store, Store, Cache>,
    faults: FaultInjector,
    model: RefCell<Model>,
}

#[test]
fn every_answer_is_as_fresh_as_asked_and_nobody_goes_back() {
    let seeds = seeds(SEEDS_DEFAULT);
    let mut totals = readers::Counts::default();
    for seed in seeds.clone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        totals.add(&runtime.block_on(with_seed(seed, run(seed))));
    }
    println!("{totals:?}");
    // Neither an easy life nor a hopeless one shows anything.
    assert!(totals.answered > totals.refused(), "{totals:?}");
    assert!(totals.behind > seeds.end - seeds.start && totals.unavailable > 0, "{totals:?}");
}

async fn run(seed: u64) -> readers::Counts {
    let views = EmbeddedViewStore::open(&Storage::Memory, partitions()).unwrap();
    views.ensure_views(&VIEWS).await.unwrap();
    let faults = FaultInjector::new(seed, LIES);
    let slow = SlowStore::new(views, seed);
    let store = Arc::new(FaultyViewStore::new(Arc::new(slow), faults.clone()));
    let cache = Arc::new(FaultyViewCache::new(Arc::new(EmbeddedViewCache::new(1 << 20)), faults.clone()));
    let tasks = Tasks::new(Shutdown::new());
    // A second for each position, so that cached rows come of age on the way.
    let config = QueryConfig { cached_age_max: Duration::from_secs(20), jitter_seed: seed, ..QueryConfig::default() };
    let (rows, progress) = (Arc::clone(&store), Arc::clone(&store));
    let reader = Reader::start(rows, progress, Arc::clone(&cache), VIEWS.to_vec(), partitions(), config, &tasks);
    let world = World { store, cache, reader, faults, model: RefCell::default() };

    let reading = join_all((0..READERS).map(|number| readers::read(&world, seed * READERS + number)));
    let (counts, ()) = tokio::join!(reading, projector::project(&world, seed));
    assert!(world.faults.faults_count() > 0, "nobody lied");

    world.faults.disable();
    world.reader.ready().await;
    readers::read_all(&world).await;
    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(1)).await.unwrap();
    let mut total = readers::Counts::default();
    counts.iter().for_each(|counts| total.add(counts));
    total
}
