//! The suite behind a liar, with several seeds.

use diptych_kernel::testing::{
    LyingPlace,
    lying::{Liar, LyingViewCache},
    view_cache, with_seed,
};

use crate::place::MemcachedPlace;

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
fn liar(seed: u64) -> Liar {
    Liar::new(seed, [0.02, 0.1, 0.3][usize::try_from(seed % 3).unwrap()])
}

#[tokio::test]
async fn view_cache_behind_a_liar() {
    let mut lies_count = 0;
    for seed in seeds() {
        let Some(place) = MemcachedPlace::new() else { return };
        let liar = liar(seed);
        with_seed(seed, view_cache::suite(&LyingPlace::new(&place, liar.clone(), LyingViewCache::new), seed)).await;
        lies_count += liar.lies_count();
    }
    assert!(lies_count > 0, "nobody lied, so nothing was tested");
}
