//! Conformance suites with injected faults, with several seeds.

use std::future::Future;

use diptych_kernel::testing::{
    FaultyTestEnv, event_store,
    faulty::{FaultInjector, FaultyEventStore, FaultyRelayState},
    relay_state, seeds, with_seed,
};

use crate::support::{PostgresTestEnv, partitions, test_server_url, with_database};

const SEEDS_DEFAULT: u64 = 4;

fn with_every_seed<T: Future<Output = ()>>(suite: impl Fn(PostgresTestEnv, FaultInjector, u64) -> T) {
    if test_server_url().is_none() {
        return;
    }
    for seed in seeds(SEEDS_DEFAULT) {
        with_database(|database| {
            // From few faults to many.
            let faults = FaultInjector::with_one_of(seed, [0.02, 0.1, 0.3]);
            let injector = faults.clone();
            let suite = with_seed(seed, suite(PostgresTestEnv(database), faults, seed));
            async move {
                suite.await;
                assert!(injector.faults_count() > 0, "no fault was injected, so nothing was tested");
            }
        });
    }
}

#[test]
fn event_store_with_faults() {
    with_every_seed(|env, faults, seed| async move {
        event_store::suite(&FaultyTestEnv::new(&env, faults, FaultyEventStore::new), seed).await;
    });
}

#[test]
fn relay_state_with_faults() {
    with_every_seed(|env, faults, seed| async move {
        relay_state::suite(&FaultyTestEnv::new(&env, faults, FaultyRelayState::new), partitions(), seed).await;
    });
}
