//! Conformance suite of [`ViewCache`].

mod leases;
mod random;
mod rows;

use std::slice;

use bytes::Bytes;

use super::{TestEnv, support::SuiteRun};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, ViewCache},
    vocabulary::{Position, Timestamp},
};

/// Checks every rule of the contract of [`ViewCache`] on a fresh cache, including random operations against a model.
///
/// A cache may evict anything at any time. If [`TestEnv::retains_entries`] returns true, cached rows must still be
/// there.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: ViewCache>>(env: &P, seed: u64) {
    let run = &SuiteRun::new(env, seed);
    rows::cached_rows_are_read_through_every_handle(run).await;
    rows::the_larger_position_and_as_of_win(run).await;
    rows::answers_come_in_the_order_of_keys(run).await;
    rows::views_and_groups_are_separate(run).await;
    leases::only_one_reader_gets_a_lease(run).await;
    leases::a_slow_reader_cannot_restore_an_old_row(run).await;
    leases::a_lease_of_another_key_or_view_is_rejected(run).await;
    random::what_readers_see_never_goes_back(run).await;
}

fn view(name: &'static str) -> ViewId {
    ViewId { name, generation: 1 }
}

/// The row of a key at a position, current up to `current_up_to`. Deterministic.
fn row(key: &RowKey, position: i64, current_up_to: i64) -> CachedRow {
    // The row is deleted at some positions.
    let body = (position % 5 != 0).then(|| Bytes::from(format!("{key:?} at {position}")));
    let position = Position::from_i64(position).unwrap();
    CachedRow {
        position,
        current_up_to: Position::from_i64(current_up_to).unwrap(),
        as_of: Timestamp::from_micros(current_up_to),
        body,
    }
}

impl<P: TestEnv<Handle: ViewCache>> SuiteRun<'_, P> {
    async fn read_keys(&self, cache: &P::Handle, view: ViewId, keys: &[RowKey]) -> Vec<CacheRead> {
        let answers = self.retry("read", async || cache.read(view, keys).await).await;
        assert_eq!(answers.len(), keys.len(), "one result per key");
        answers
    }

    async fn read_key(&self, cache: &P::Handle, view: ViewId, key: &RowKey) -> CacheRead {
        self.read_keys(cache, view, slice::from_ref(key)).await.remove(0)
    }

    /// Returns the cached row, if there is one.
    async fn cached(&self, cache: &P::Handle, view: ViewId, key: &RowKey) -> Option<CachedRow> {
        match self.read_key(cache, view, key).await {
            CacheRead::Hit(row) => Some(row),
            CacheRead::Miss(_) | CacheRead::Filling => None,
        }
    }

    /// Checks that this row is cached, or that nothing is if the cache may evict rows.
    async fn expect(&self, cache: &P::Handle, view: ViewId, key: &RowKey, expected: &CachedRow, why: &str) {
        match self.cached(cache, view, key).await {
            Some(row) => assert_eq!(row, *expected, "{why}"),
            None => assert!(!self.env.retains_entries(), "{why}: nothing is cached"),
        }
    }

    /// Reads a key that is not cached and returns its lease, or `None` if a fault has lost the lease.
    async fn lease(&self, cache: &P::Handle, view: ViewId, key: &RowKey) -> Option<FillLease> {
        match self.read_key(cache, view, key).await {
            CacheRead::Miss(lease) => Some(lease),
            CacheRead::Filling if !self.is_fault_free() => None,
            other => panic!("expected a miss, got {other:?}"),
        }
    }

    /// Fills a key as a reader does: once. Returns `None` after an error.
    async fn fill(
        &self,
        cache: &P::Handle,
        view: ViewId,
        key: &RowKey,
        lease: FillLease,
        row: &CachedRow,
    ) -> Option<bool> {
        match cache.fill(view, key, lease, row.clone()).await {
            Ok(taken) => Some(taken),
            Err(error) if self.is_fault_free() => panic!("fill: {error}"),
            Err(_) => None,
        }
    }

    async fn refresh(&self, cache: &P::Handle, view: ViewId, key: &RowKey, row: &CachedRow) {
        let rows = [(key.clone(), row.clone())];
        self.retry("refresh", async || cache.refresh(view, &rows).await).await;
    }

    async fn invalidate(&self, cache: &P::Handle, view: ViewId, key: &RowKey) {
        self.retry("invalidate", async || cache.invalidate(view, slice::from_ref(key)).await).await;
    }
}
