//! The suites behind a liar, with several seeds.

use diptych_kernel::testing::{
    FaultyTestEnv,
    faulty::{FaultInjector, FaultyViewStore},
    progress, view_store, with_seed,
};

use crate::test_env::ScyllaTestEnv;

const SEEDS_DEFAULT: u64 = 3;

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
async fn view_store_and_progress_with_faults() {
    let mut faults_count = 0;
    for seed in seeds() {
        let Some(env) = ScyllaTestEnv::new().await else { return };
        let faults = faults(seed);
        let faulty = FaultyTestEnv::new(&env, faults.clone(), FaultyViewStore::new);
        with_seed(seed, view_store::suite(&faulty, seed)).await;
        with_seed(seed, progress::suite(&faulty, seed)).await;
        env.remove().await;
        faults_count += faults.faults_count();
    }
    assert!(faults_count > 0, "nobody lied, so nothing was tested");
}
