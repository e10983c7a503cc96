//! The suites behind a liar, with several seeds.

use diptych_kernel::testing::{
    LyingPlace,
    lying::{Liar, LyingViewStore},
    progress, view_store, with_seed,
};

use crate::place::ScyllaPlace;

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
fn liar(seed: u64) -> Liar {
    Liar::new(seed, [0.02, 0.1, 0.3][usize::try_from(seed % 3).unwrap()])
}

#[tokio::test]
async fn view_store_and_progress_behind_a_liar() {
    let mut lies_count = 0;
    for seed in seeds() {
        let Some(place) = ScyllaPlace::new().await else { return };
        let liar = liar(seed);
        let lying = LyingPlace::new(&place, liar.clone(), LyingViewStore::new);
        with_seed(seed, view_store::suite(&lying, seed)).await;
        with_seed(seed, progress::suite(&lying, seed)).await;
        place.remove().await;
        lies_count += liar.lies_count();
    }
    assert!(lies_count > 0, "nobody lied, so nothing was tested");
}
