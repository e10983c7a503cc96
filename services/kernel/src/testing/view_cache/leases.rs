//! Who may fill.

use super::{row, view};
use crate::{
    domain::RowKey,
    ports::{CacheRead, FillLease, ViewCache},
    testing::{TestEnv, support::Trial},
};

pub(super) async fn one_reader_fills<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let (mine, other, table) = (trial.env.handle().await, trial.env.handle().await, view("fills"));
    let key = RowKey::single("one reader");
    let Some(lease) = trial.lease(&mine, table, &key).await else { return };
    let second = trial.look_up(&other, table, &key).await;
    let is_filling = matches!(second, CacheRead::Filling);
    assert!(is_filling || !trial.env.retains_entries(), "one reader fills, the others hear so: {second:?}");
    let taken = trial.fill(&mine, table, &key, lease, &row(&key, 3, 3)).await;
    // A lease that the cache forgot is no longer good.
    assert!(taken == Some(true) || !trial.env.retains_entries());
    if taken == Some(true) {
        trial.expect(&other, table, &key, &row(&key, 3, 3), "filled").await;
    }
    // A lease is good once.
    if let Some(taken_again) = trial.fill(&mine, table, &key, lease, &row(&key, 4, 4)).await {
        assert!(!taken_again || taken != Some(true), "the lease was used up");
    }
}

pub(super) async fn a_slow_reader_cannot_put_an_old_row_back<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let (slow, other, table) = (trial.env.handle().await, trial.env.handle().await, view("slow"));
    // The row changes while the reader reads.
    let key = RowKey::single("refreshed");
    if let Some(lease) = trial.lease(&slow, table, &key).await {
        trial.refresh(&other, table, &key, &row(&key, 8, 8)).await;
        let taken = trial.fill(&slow, table, &key, lease, &row(&key, 7, 7)).await;
        assert_ne!(taken, Some(true), "a refresh ends the lease");
        let found = trial.cached(&other, table, &key).await;
        assert!(found.is_none_or(|found| found == row(&key, 8, 8)), "an old row was put back");
        // Not even a row that is newer by its numbers: the lease is void.
        let taken = trial.fill(&slow, table, &key, lease, &row(&key, 9, 9)).await;
        assert_ne!(taken, Some(true));
    }

    // The row changes, and the change is only told as an invalidation.
    let key = RowKey::single("invalidated");
    if let Some(lease) = trial.lease(&slow, table, &key).await {
        trial.invalidate(&other, table, &key).await;
        let taken = trial.fill(&slow, table, &key, lease, &row(&key, 7, 7)).await;
        assert_ne!(taken, Some(true), "an invalidation ends the lease");
        assert_eq!(trial.cached(&other, table, &key).await, None, "an old row was put back");
    }

    // Forgotten meanwhile: a refresh and then an invalidation leave nothing to compare with.
    let key = RowKey::single("gone");
    if let Some(lease) = trial.lease(&slow, table, &key).await {
        trial.refresh(&other, table, &key, &row(&key, 8, 8)).await;
        trial.invalidate(&other, table, &key).await;
        let next = trial.lease(&other, table, &key).await;
        let taken = trial.fill(&slow, table, &key, lease, &row(&key, 7, 7)).await;
        assert_ne!(taken, Some(true), "the lease of an earlier miss");
        let found = trial.cached(&slow, table, &key).await;
        assert_eq!(found, None, "an old row was put back");
        if let Some(next) = next
            && let Some(taken) = trial.fill(&other, table, &key, next, &row(&key, 8, 9)).await
        {
            assert!(taken || !trial.env.retains_entries(), "the new lease is good");
        }
    }
}

pub(super) async fn a_lease_of_nobody_fills_nothing<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let (cache, table) = (trial.env.handle().await, view("nobody"));
    let (key, other) = (RowKey::single("mine"), RowKey::single("other"));
    let Some(lease) = trial.lease(&cache, table, &key).await else { return };
    let Some(lease_of_other) = trial.lease(&cache, table, &other).await else { return };
    let made_up = FillLease(lease.0 ^ lease_of_other.0 ^ 0x5555_5555_5555_5555);
    for wrong in [made_up, lease_of_other] {
        let taken = trial.fill(&cache, table, &key, wrong, &row(&key, 3, 3)).await;
        assert_ne!(taken, Some(true), "{wrong:?} is not the lease of this key");
    }
    assert_eq!(trial.cached(&cache, table, &key).await, None);
    let taken = trial.fill(&cache, view("nobody_else"), &key, lease, &row(&key, 3, 3)).await;
    assert_ne!(taken, Some(true), "a lease is of one view");
}
