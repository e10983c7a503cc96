//! Randomized test of G6 and G7 with a faulty, slow read database and a faulty cache, while a projector works and
//! readers query with tokens: every answer is as fresh as it claims and as its token requires (G6), and no reader sees
//! a row go back (G7).
//!
//! `DIPTYCH_SEEDS` sets the number of seeds, 200 by default. A failure prints its seed.

mod committed_events;
mod random_projector;
mod random_reader;

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

use crate::{
    harness::{partitions, test_clock},
    switched::SwitchedStore,
};
use committed_events::CommittedEvents;

const SEEDS_DEFAULT: u64 = 200;
const READERS: u64 = 4;
const FAULT_RATE: f64 = 0.2;

/// One row for each stream.
const SEATS: ViewId = ViewId { name: "seats", generation: 1 };
/// Rows by stream, one for each event, and in the group `all` one for each stream of any partition.
const ENTRIES: ViewId = ViewId { name: "entries", generation: 1 };
/// One partial row for each partition.
const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };
const VIEWS: [ViewId; 3] = [SEATS, ENTRIES, TOTALS];

type Store = FaultyViewStore<SwitchedStore>;
type Cache = FaultyViewCache<EmbeddedViewCache>;

struct Simulation {
    store: Arc<Store>,
    cache: Arc<Cache>,
    reader: Reader<Store, Store, Cache>,
    faults: FaultInjector,
    committed: RefCell<CommittedEvents>,
}

#[test]
fn every_answer_is_as_fresh_as_required_and_no_reader_goes_back() {
    let seeds = seeds(SEEDS_DEFAULT);
    let mut totals = random_reader::Counts::default();
    for seed in seeds.clone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        totals.add(&runtime.block_on(with_seed(seed, run(seed))));
    }
    println!("{totals:?}");
    // Neither too few nor too many failures would test anything.
    assert!(totals.answered > totals.refused(), "{totals:?}");
    assert!(totals.behind > seeds.end - seeds.start && totals.unavailable > 0, "{totals:?}");
}

async fn run(seed: u64) -> random_reader::Counts {
    let views = EmbeddedViewStore::open(&Storage::Memory, partitions(), test_clock()).unwrap();
    views.ensure_views(&VIEWS).await.unwrap();
    let faults = FaultInjector::new(seed, FAULT_RATE);
    let slow = SwitchedStore::slow(views, seed);
    let store = Arc::new(FaultyViewStore::new(Arc::new(slow), faults.clone()));
    let cache = Arc::new(FaultyViewCache::new(Arc::new(EmbeddedViewCache::new(1 << 20)), faults.clone()));
    let tasks = Tasks::new(Shutdown::new());
    // One second per position, so that cached rows reach the maximum age during the run.
    let config = QueryConfig { cached_age_max: Duration::from_secs(20), jitter_seed: seed, ..QueryConfig::default() };
    let (rows, progress) = (Arc::clone(&store), Arc::clone(&store));
    let reader = Reader::start(rows, progress, Arc::clone(&cache), VIEWS.to_vec(), partitions(), config, &tasks);
    let simulation = Simulation { store, cache, reader, faults, committed: RefCell::default() };

    let reading = join_all((0..READERS).map(|number| random_reader::read(&simulation, seed * READERS + number)));
    let (counts, ()) = tokio::join!(reading, random_projector::project(&simulation, seed));
    assert!(simulation.faults.faults_count() > 0, "no fault was injected");

    simulation.faults.disable();
    simulation.reader.ready().await;
    random_reader::read_all(&simulation).await;
    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(1)).await.unwrap();
    let mut total = random_reader::Counts::default();
    counts.iter().for_each(|counts| total.add(counts));
    total
}
