//! The suite behind a liar, with several seeds.

use diptych_kernel::testing::{
    FaultyTestEnv,
    faulty::{FaultInjector, FaultyViewCache},
    view_cache, with_seed,
};

use crate::test_env::MemcachedTestEnv;

const SEEDS_DEFAULT: u64 = 60;

/// The seeds to run with: as many as wanted, or a single one.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("DIPTYCH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DIPTYCH_SEEDS").unwrap_or(SEEDS_DEFAULT),
    }
}

/// From few lies to many.
fn faults(seed: u64) -> FaultInjector {
    FaultInjector::new(seed, [0.02, 0.1, 0.3][usize::try_from(seed % 3).unwrap()])
}

#[tokio::test]
async fn view_cache_with_faults() {
    let mut faults_count = 0;
    for seed in seeds() {
        let Some(env) = MemcachedTestEnv::new() else { return };
        let faults = faults(seed);
        with_seed(seed, view_cache::suite(&FaultyTestEnv::new(&env, faults.clone(), FaultyViewCache::new), seed)).await;
        faults_count += faults.faults_count();
    }
    assert!(faults_count > 0, "nobody lied, so nothing was tested");
}
