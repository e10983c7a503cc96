//! Fill leases.

use super::{row, view};
use crate::{
    domain::RowKey,
    ports::{CacheRead, FillLease, ViewCache},
    testing::{TestEnv, support::SuiteRun},
};

pub(super) async fn only_one_reader_gets_a_lease<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let (mine, other, table) = (run.env.handle().await, run.env.handle().await, view("fills"));
    let key = RowKey::single("one reader");
    let Some(lease) = run.lease(&mine, table, &key).await else { return };
    let second = run.read_key(&other, table, &key).await;
    let is_filling = matches!(second, CacheRead::Filling);
    assert!(is_filling || !run.env.retains_entries(), "only one reader gets a lease: {second:?}");
    let taken = run.fill(&mine, table, &key, lease, &row(&key, 3, 3)).await;
    // The cache may have evicted the lease.
    assert!(taken == Some(true) || !run.env.retains_entries());
    if taken == Some(true) {
        run.expect(&other, table, &key, &row(&key, 3, 3), "filled").await;
    }
    // A lease can be used once.
    if let Some(taken_again) = run.fill(&mine, table, &key, lease, &row(&key, 4, 4)).await {
        assert!(!taken_again || taken != Some(true), "a used lease was accepted");
    }
}

pub(super) async fn a_slow_reader_cannot_restore_an_old_row<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let (slow, other, table) = (run.env.handle().await, run.env.handle().await, view("slow"));
    // The row is refreshed while the reader reads it.
    let key = RowKey::single("refreshed");
    if let Some(lease) = run.lease(&slow, table, &key).await {
        run.refresh(&other, table, &key, &row(&key, 8, 8)).await;
        let taken = run.fill(&slow, table, &key, lease, &row(&key, 7, 7)).await;
        assert_ne!(taken, Some(true), "a refresh voids the lease");
        let found = run.cached(&other, table, &key).await;
        assert!(found.is_none_or(|found| found == row(&key, 8, 8)), "an old row was restored");
        // The lease is void even for a row with a larger position.
        let taken = run.fill(&slow, table, &key, lease, &row(&key, 9, 9)).await;
        assert_ne!(taken, Some(true));
    }

    // The row is invalidated while the reader reads it.
    let key = RowKey::single("invalidated");
    if let Some(lease) = run.lease(&slow, table, &key).await {
        run.invalidate(&other, table, &key).await;
        let taken = run.fill(&slow, table, &key, lease, &row(&key, 7, 7)).await;
        assert_ne!(taken, Some(true), "an invalidation voids the lease");
        assert_eq!(run.cached(&other, table, &key).await, None, "an old row was restored");
    }

    // A refresh followed by an invalidation leaves no row to compare positions with.
    let key = RowKey::single("gone");
    if let Some(lease) = run.lease(&slow, table, &key).await {
        run.refresh(&other, table, &key, &row(&key, 8, 8)).await;
        run.invalidate(&other, table, &key).await;
        let next = run.lease(&other, table, &key).await;
        let taken = run.fill(&slow, table, &key, lease, &row(&key, 7, 7)).await;
        assert_ne!(taken, Some(true), "the lease of an earlier miss was accepted");
        let found = run.cached(&slow, table, &key).await;
        assert_eq!(found, None, "an old row was restored");
        if let Some(next) = next
            && let Some(taken) = run.fill(&other, table, &key, next, &row(&key, 8, 9)).await
        {
            assert!(taken || !run.env.retains_entries(), "the new lease must be accepted");
        }
    }
}

pub(super) async fn a_lease_of_another_key_or_view_is_rejected<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let (cache, table) = (run.env.handle().await, view("wrong_lease"));
    let (key, other) = (RowKey::single("mine"), RowKey::single("other"));
    let Some(lease) = run.lease(&cache, table, &key).await else { return };
    let Some(lease_of_other) = run.lease(&cache, table, &other).await else { return };
    let made_up = FillLease(lease.0 ^ lease_of_other.0 ^ 0x5555_5555_5555_5555);
    for wrong in [made_up, lease_of_other] {
        let taken = run.fill(&cache, table, &key, wrong, &row(&key, 3, 3)).await;
        assert_ne!(taken, Some(true), "{wrong:?} is not the lease of this key, but was accepted");
    }
    assert_eq!(run.cached(&cache, table, &key).await, None);
    let taken = run.fill(&cache, view("other_view"), &key, lease, &row(&key, 3, 3)).await;
    assert_ne!(taken, Some(true), "the lease of another view was accepted");
}
