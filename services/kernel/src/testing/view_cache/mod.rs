//! The suite of [`ViewCache`].

mod leases;
mod random;
mod rows;

use std::slice;

use bytes::Bytes;

use super::{TestEnv, support::Trial};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, ViewCache},
    vocabulary::{Position, Timestamp},
};

/// Checks every sentence of the contract of [`ViewCache`] on a fresh place, random operations against a model among it.
///
/// A cache may forget anything at any time. Where [`TestEnv::retains_entries`] says that this one does not, what was put must be there.
///
/// # Panics
/// When the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: ViewCache>>(env: &P, seed: u64) {
    let trial = &Trial::new(env, seed);
    rows::what_is_put_is_read_by_everybody(trial).await;
    rows::the_larger_position_and_time_win(trial).await;
    rows::answers_come_in_the_order_of_keys(trial).await;
    rows::views_and_groups_are_apart(trial).await;
    leases::one_reader_fills(trial).await;
    leases::a_slow_reader_cannot_put_an_old_row_back(trial).await;
    leases::a_lease_of_nobody_fills_nothing(trial).await;
    random::what_readers_see_never_goes_back(trial).await;
}

fn view(name: &'static str) -> ViewId {
    ViewId { name, generation: 1 }
}

/// The row of a key at a position, known to be right up to another one: always the same.
fn row(key: &RowKey, position: i64, as_of: i64) -> CachedRow {
    // Some positions delete.
    let body = (position % 5 != 0).then(|| Bytes::from(format!("{key:?} at {position}")));
    let position = Position::from_i64(position).unwrap();
    CachedRow { position, as_of: Position::from_i64(as_of).unwrap(), as_of_time: Timestamp::from_micros(as_of), body }
}

impl<P: TestEnv<Handle: ViewCache>> Trial<'_, P> {
    async fn look_up_all(&self, cache: &P::Handle, view: ViewId, keys: &[RowKey]) -> Vec<CacheRead> {
        let answers = self.ask("read", async || cache.read(view, keys).await).await;
        assert_eq!(answers.len(), keys.len(), "one answer per key");
        answers
    }

    async fn look_up(&self, cache: &P::Handle, view: ViewId, key: &RowKey) -> CacheRead {
        self.look_up_all(cache, view, slice::from_ref(key)).await.remove(0)
    }

    /// What is cached, if anything.
    async fn cached(&self, cache: &P::Handle, view: ViewId, key: &RowKey) -> Option<CachedRow> {
        match self.look_up(cache, view, key).await {
            CacheRead::Hit(row) => Some(row),
            CacheRead::Miss(_) | CacheRead::Filling => None,
        }
    }

    /// Checks that this is cached, or nothing where the cache may forget.
    async fn expect(&self, cache: &P::Handle, view: ViewId, key: &RowKey, expected: &CachedRow, why: &str) {
        match self.cached(cache, view, key).await {
            Some(row) => assert_eq!(row, *expected, "{why}"),
            None => assert!(!self.env.retains_entries(), "{why}: nothing is cached"),
        }
    }

    /// The right to fill a key about which nothing is known; `None` where a failure has eaten it.
    async fn lease(&self, cache: &P::Handle, view: ViewId, key: &RowKey) -> Option<FillLease> {
        match self.look_up(cache, view, key).await {
            CacheRead::Miss(lease) => Some(lease),
            CacheRead::Filling if !self.is_honest() => None,
            other => panic!("a miss was expected: {other:?}"),
        }
    }

    /// Fills, as a reader does: once, and a failure is nothing taken as far as it knows.
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
            Err(error) if self.is_honest() => panic!("fill: {error}"),
            Err(_) => None,
        }
    }

    async fn refresh(&self, cache: &P::Handle, view: ViewId, key: &RowKey, row: &CachedRow) {
        let rows = [(key.clone(), row.clone())];
        self.ask("refresh", async || cache.refresh(view, &rows).await).await;
    }

    async fn invalidate(&self, cache: &P::Handle, view: ViewId, key: &RowKey) {
        self.ask("invalidate", async || cache.invalidate(view, slice::from_ref(key)).await).await;
    }
}
