//! Conformance suites of all ports: in memory, in a directory, in a directory shared by several processes, and with
//! injected faults.

use diptych_kernel::testing::{
    FaultyTestEnv, command_queue_state, event_log, event_store,
    faulty::{
        FaultInjector, FaultyCommandQueueState, FaultyEventLog, FaultyEventStore, FaultyRelayState, FaultyViewCache,
        FaultyViewStore,
    },
    progress, relay_state, view_cache, view_store, with_seed,
};

use super::test_env::{AdapterTestEnv, sixteen};
use crate::{EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore};

const FAULTY_SEEDS: u64 = 50;

/// Share of calls with an injected fault.
const FAULT_PROBABILITY: f64 = 0.1;

/// Defines the tests of one suite, which is called with a test environment, further arguments and a seed.
macro_rules! conforms {
    ($port:ident, $part:ty, $faults:expr, $($suite:ident)::+ ( $($argument:expr)? )) => {
        mod $port {
            use super::*;

            #[tokio::test(start_paused = true)]
            async fn in_memory() {
                let env = AdapterTestEnv::<$part>::memory();
                with_seed(1, $($suite)::+(&env, $($argument,)? 1)).await;
            }

            #[tokio::test]
            async fn in_a_directory() {
                let env = AdapterTestEnv::<$part>::directory();
                with_seed(2, $($suite)::+(&env, $($argument,)? 2)).await;
            }

            #[tokio::test]
            async fn in_a_directory_of_several_processes() {
                let env = AdapterTestEnv::<$part>::other_processes();
                with_seed(3, $($suite)::+(&env, $($argument,)? 3)).await;
            }

            #[tokio::test(start_paused = true)]
            async fn with_faults() {
                for seed in 0..FAULTY_SEEDS {
                    let env = AdapterTestEnv::<$part>::memory();
                    let env = FaultyTestEnv::new(&env, FaultInjector::new(seed, FAULT_PROBABILITY), $faults);
                    with_seed(seed, $($suite)::+(&env, $($argument,)? seed)).await;
                }
            }
        }
    };
}

conforms!(of_event_store, EmbeddedEventStore, FaultyEventStore::new, event_store::suite());
conforms!(of_relay_state, EmbeddedEventStore, FaultyRelayState::new, relay_state::suite(sixteen()));
conforms!(of_command_queue_state, EmbeddedEventStore, FaultyCommandQueueState::new, command_queue_state::suite());
conforms!(of_event_log, EmbeddedEventLog, FaultyEventLog::new, event_log::suite());
conforms!(of_view_store, EmbeddedViewStore, FaultyViewStore::new, view_store::suite());
conforms!(of_progress, EmbeddedViewStore, FaultyViewStore::new, progress::suite());

/// A cache has no directory, and its handles are clones.
mod of_view_cache {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn in_memory() {
        with_seed(1, view_cache::suite(&AdapterTestEnv::<EmbeddedViewCache>::memory(), 1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn with_faults() {
        for seed in 0..FAULTY_SEEDS {
            let env = AdapterTestEnv::<EmbeddedViewCache>::memory();
            let env = FaultyTestEnv::new(&env, FaultInjector::new(seed, FAULT_PROBABILITY), FaultyViewCache::new);
            with_seed(seed, view_cache::suite(&env, seed)).await;
        }
    }
}
