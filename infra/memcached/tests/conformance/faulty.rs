//! The conformance suite with injected faults, for several seeds.

use diptych_kernel::testing::{
    FaultyTestEnv,
    faulty::{FaultInjector, FaultyViewCache},
    seeds, view_cache, with_seed,
};

use crate::test_env::MemcachedTestEnv;

const SEEDS_DEFAULT: u64 = 60;

#[tokio::test]
async fn view_cache_with_faults() {
    let mut faults_count = 0;
    for seed in seeds(SEEDS_DEFAULT) {
        let Some(env) = MemcachedTestEnv::new() else { return };
        let faults = FaultInjector::with_one_of(seed, [0.02, 0.1, 0.3]);
        with_seed(seed, view_cache::suite(&FaultyTestEnv::new(&env, faults.clone(), FaultyViewCache::new), seed)).await;
        faults_count += faults.faults_count();
    }
    assert!(faults_count > 0, "no fault was injected, so nothing was tested");
}
