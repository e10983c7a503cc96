//! Every suite of every port: in memory, in a folder, in a folder shared with strangers, and behind a liar.

use diptych_kernel::testing::{
    FaultyTestEnv, event_log, event_store,
    faulty::{FaultInjector, FaultyEventLog, FaultyEventStore, FaultyRelayState, FaultyViewCache, FaultyViewStore},
    progress, relay_state, view_cache, view_store, with_seed,
};

use super::site::{Site, sixteen};
use crate::{EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore};

const LYING_SEEDS: u64 = 50;

/// How many of the calls are lied about.
const LIES: f64 = 0.1;

/// The tests of one suite, which is called with a place, further arguments and a seed.
macro_rules! conforms {
    ($port:ident, $part:ty, $faults:expr, $($suite:ident)::+ ( $($argument:expr)? )) => {
        mod $port {
            use super::*;

            #[tokio::test(start_paused = true)]
            async fn in_memory() {
                let site = Site::<$part>::memory();
                with_seed(1, $($suite)::+(&site, $($argument,)? 1)).await;
            }

            #[tokio::test]
            async fn in_a_folder() {
                let site = Site::<$part>::directory();
                with_seed(2, $($suite)::+(&site, $($argument,)? 2)).await;
            }

            #[tokio::test]
            async fn in_a_folder_among_strangers() {
                let site = Site::<$part>::strangers();
                with_seed(3, $($suite)::+(&site, $($argument,)? 3)).await;
            }

            #[tokio::test(start_paused = true)]
            async fn with_faults() {
                for seed in 0..LYING_SEEDS {
                    let site = Site::<$part>::memory();
                    let place = FaultyTestEnv::new(&site, FaultInjector::new(seed, LIES), $faults);
                    with_seed(seed, $($suite)::+(&place, $($argument,)? seed)).await;
                }
            }
        }
    };
}

conforms!(of_event_store, EmbeddedEventStore, FaultyEventStore::new, event_store::suite());
conforms!(of_relay_state, EmbeddedEventStore, FaultyRelayState::new, relay_state::suite(sixteen()));
conforms!(of_event_log, EmbeddedEventLog, FaultyEventLog::new, event_log::suite());
conforms!(of_view_store, EmbeddedViewStore, FaultyViewStore::new, view_store::suite());
conforms!(of_progress, EmbeddedViewStore, FaultyViewStore::new, progress::suite());

/// A cache has no folder, and only its own handles.
mod of_view_cache {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn in_memory() {
        with_seed(1, view_cache::suite(&Site::<EmbeddedViewCache>::memory(), 1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn with_faults() {
        for seed in 0..LYING_SEEDS {
            let site = Site::<EmbeddedViewCache>::memory();
            let place = FaultyTestEnv::new(&site, FaultInjector::new(seed, LIES), FaultyViewCache::new);
            with_seed(seed, view_cache::suite(&place, seed)).await;
        }
    }
}
