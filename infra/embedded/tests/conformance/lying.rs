//! The suites behind a liar, with many seeds.

use std::future::Future;

use diptych_kernel::testing::{
    LyingPlace, Place, event_log, event_store,
    lying::{Liar, LyingEventLog, LyingEventStore, LyingRelayState, LyingViewCache, LyingViewStore},
    progress, relay_state, view_cache, view_store,
};

use crate::{
    place::{EmbeddedPlace, partitions},
    run_paused,
};

const SEEDS_DEFAULT: u64 = 1_000;

/// The seeds to run with: as many as wanted, or a single one.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match number("DIPTYCH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DIPTYCH_SEEDS").unwrap_or(SEEDS_DEFAULT),
    }
}

/// From few lies to many.
fn liar(seed: u64) -> Liar {
    Liar::new(seed, [0.02, 0.1, 0.3][usize::try_from(seed % 3).unwrap()])
}

fn with_every_seed<P: Place, T: Future<Output = ()>>(open: impl Fn() -> P, suite: impl Fn(P, Liar, u64) -> T) {
    let mut lies_count = 0;
    for seed in seeds() {
        let liar = liar(seed);
        run_paused(seed, suite(open(), liar.clone(), seed));
        lies_count += liar.lies_count();
    }
    assert!(lies_count > 0, "nobody lied, so nothing was tested");
}

#[test]
fn event_store_behind_a_liar() {
    with_every_seed(EmbeddedPlace::events_in_memory, |place, liar, seed| async move {
        event_store::suite(&LyingPlace::new(&place, liar, LyingEventStore::new), seed).await;
    });
}

#[test]
fn relay_state_behind_a_liar() {
    with_every_seed(EmbeddedPlace::events_in_memory, |place, liar, seed| async move {
        relay_state::suite(&LyingPlace::new(&place, liar, LyingRelayState::new), partitions(), seed).await;
    });
}

#[test]
fn event_log_behind_a_liar() {
    with_every_seed(EmbeddedPlace::log_in_memory, |place, liar, seed| async move {
        event_log::suite(&LyingPlace::new(&place, liar, LyingEventLog::new), seed).await;
    });
}

#[test]
fn view_store_behind_a_liar() {
    with_every_seed(EmbeddedPlace::views_in_memory, |place, liar, seed| async move {
        view_store::suite(&LyingPlace::new(&place, liar, LyingViewStore::new), seed).await;
    });
}

#[test]
fn progress_behind_a_liar() {
    with_every_seed(EmbeddedPlace::views_in_memory, |place, liar, seed| async move {
        progress::suite(&LyingPlace::new(&place, liar, LyingViewStore::new), seed).await;
    });
}

#[test]
fn view_cache_behind_a_liar() {
    with_every_seed(EmbeddedPlace::cache, |place, liar, seed| async move {
        view_cache::suite(&LyingPlace::new(&place, liar, LyingViewCache::new), seed).await;
    });
}
