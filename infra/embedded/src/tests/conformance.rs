//! Every suite of every port: in memory, in a folder, in a folder shared with strangers, and behind a liar.

use diptych_kernel::testing::{
    LyingPlace, event_log, event_store,
    lying::{Liar, LyingEventLog, LyingEventStore, LyingRelayState, LyingViewCache, LyingViewStore},
    progress, relay_state, view_cache, view_store, with_seed,
};

use super::site::{Site, sixteen};
use crate::{EmbeddedEventLog, EmbeddedEventStore, EmbeddedViewCache, EmbeddedViewStore};

const LYING_SEEDS: u64 = 50;

/// How many of the calls are lied about.
const LIES: f64 = 0.1;

/// The tests of one suite, which is called with a place, further arguments and a seed.
macro_rules! conforms {
    ($port:ident, $part:ty, $liar:expr, $($suite:ident)::+ ( $($argument:expr)? )) => {
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
            async fn behind_a_liar() {
                for seed in 0..LYING_SEEDS {
                    let site = Site::<$part>::memory();
                    let place = LyingPlace::new(&site, Liar::new(seed, LIES), $liar);
                    with_seed(seed, $($suite)::+(&place, $($argument,)? seed)).await;
                }
            }
        }
    };
}

conforms!(of_event_store, EmbeddedEventStore, LyingEventStore::new, event_store::suite());
conforms!(of_relay_state, EmbeddedEventStore, LyingRelayState::new, relay_state::suite(sixteen()));
conforms!(of_event_log, EmbeddedEventLog, LyingEventLog::new, event_log::suite());
conforms!(of_view_store, EmbeddedViewStore, LyingViewStore::new, view_store::suite());
conforms!(of_progress, EmbeddedViewStore, LyingViewStore::new, progress::suite());

/// A cache has no folder, and only its own handles.
mod of_view_cache {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn in_memory() {
        with_seed(1, view_cache::suite(&Site::<EmbeddedViewCache>::memory(), 1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn behind_a_liar() {
        for seed in 0..LYING_SEEDS {
            let site = Site::<EmbeddedViewCache>::memory();
            let place = LyingPlace::new(&site, Liar::new(seed, LIES), LyingViewCache::new);
            with_seed(seed, view_cache::suite(&place, seed)).await;
        }
    }
}
