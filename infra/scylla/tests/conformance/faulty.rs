//! Conformance suites with injected faults, with several seeds.

use diptych_kernel::testing::{
    FaultyTestEnv,
    faulty::{FaultInjector, FaultyViewStore},
    progress, seeds, view_store, with_seed,
};

use crate::test_env::ScyllaTestEnv;

const SEEDS_DEFAULT: u64 = 3;

#[tokio::test]
async fn view_store_and_progress_with_faults() {
    let mut faults_count = 0;
    for seed in seeds(SEEDS_DEFAULT) {
        let Some(env) = ScyllaTestEnv::new().await else { return };
        // From few faults to many.
        let faults = FaultInjector::with_one_of(seed, [0.02, 0.1, 0.3]);
        let faulty = FaultyTestEnv::new(&env, faults.clone(), FaultyViewStore::new);
        with_seed(seed, view_store::suite(&faulty, seed)).await;
        with_seed(seed, progress::suite(&faulty, seed)).await;
        env.remove().await;
        faults_count += faults.faults_count();
    }
    assert!(faults_count > 0, "no fault was injected, so nothing was tested");
}
