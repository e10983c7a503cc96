//! In-memory view cache and its mutants.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{InMemoryTestEnv, assert_caught};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortResult, ViewCache},
    testing::{
        FaultyTestEnv, block_on,
        faulty::{FaultInjector, FaultyViewCache},
        view_cache, with_seed,
    },
};

/// The rule that a mutant breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Accepts fills without a valid lease.
    FillIgnoresLease,
    /// A refresh does not void the lease.
    RefreshKeepsLease,
    /// An invalidation does not void the lease.
    InvalidateKeepsLease,
    /// An older row replaces a newer one.
    OlderRowsReplace,
    /// A row with the same position and a larger `current_up_to` does not replace the cached one.
    IgnoresAsOf,
    /// Every miss gets a lease.
    GrantsLeaseOnEveryMiss,
    /// A lease can be used more than once.
    AcceptsUsedLeases,
    /// Does not cache that a row does not exist.
    DoesNotCacheAbsence,
    /// Ignores the view of a key.
    MixesViews,
}

#[derive(Default)]
struct State {
    rows: HashMap<(ViewId, RowKey), CachedRow>,
    leases: HashMap<(ViewId, RowKey), FillLease>,
    leases_count: u64,
}

struct MutantViewCache {
    mutation: Mutation,
    state: Mutex<State>,
}

impl MutantViewCache {
    fn new(mutation: Mutation) -> Self {
        Self { mutation, state: Mutex::default() }
    }

    fn key(&self, view: ViewId, key: &RowKey) -> (ViewId, RowKey) {
        let view = if self.mutation == Mutation::MixesViews { ViewId { name: "any", generation: 0 } } else { view };
        (view, key.clone())
    }

    fn put(&self, state: &mut State, key: (ViewId, RowKey), row: CachedRow) {
        let is_newer = match (state.rows.get(&key), self.mutation) {
            (None, _) | (_, Mutation::OlderRowsReplace) => true,
            (Some(kept), Mutation::IgnoresAsOf) => row.position > kept.position,
            (Some(kept), _) => (row.position, row.current_up_to) > (kept.position, kept.current_up_to),
        };
        if is_newer && (row.body.is_some() || self.mutation != Mutation::DoesNotCacheAbsence) {
            state.rows.insert(key, row);
        }
    }
}

impl ViewCache for MutantViewCache {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        let mut state = self.state.lock();
        let mut answers = Vec::new();
        for key in keys {
            let key = self.key(view, key);
            answers.push(match state.rows.get(&key) {
                Some(row) => CacheRead::Hit(row.clone()),
                None if state.leases.contains_key(&key) && self.mutation != Mutation::GrantsLeaseOnEveryMiss => {
                    CacheRead::Filling
                }
                None => {
                    state.leases_count += 1;
                    let lease = FillLease(state.leases_count);
                    state.leases.insert(key, lease);
                    CacheRead::Miss(lease)
                }
            });
        }
        Ok(answers)
    }

    async fn fill(&self, view: ViewId, key: &RowKey, lease: FillLease, row: CachedRow) -> PortResult<bool> {
        let mut state = self.state.lock();
        let key = self.key(view, key);
        if state.leases.get(&key) != Some(&lease) && self.mutation != Mutation::FillIgnoresLease {
            return Ok(false);
        }
        if self.mutation != Mutation::AcceptsUsedLeases {
            state.leases.remove(&key);
        }
        self.put(&mut state, key, row);
        Ok(true)
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        let mut state = self.state.lock();
        for (key, row) in rows {
            let key = self.key(view, key);
            if self.mutation != Mutation::RefreshKeepsLease {
                state.leases.remove(&key);
            }
            self.put(&mut state, key, row.clone());
        }
        Ok(())
    }

    async fn invalidate(&self, view: ViewId, keys: &[RowKey]) -> PortResult<()> {
        let mut state = self.state.lock();
        for key in keys {
            let key = self.key(view, key);
            state.rows.remove(&key);
            if self.mutation != Mutation::InvalidateKeepsLease {
                state.leases.remove(&key);
            }
        }
        Ok(())
    }
}

#[test]
fn the_correct_view_cache_passes() {
    for seed in 0..20 {
        block_on(with_seed(
            seed,
            view_cache::suite(&InMemoryTestEnv::new(|_| MutantViewCache::new(Mutation::None)), seed),
        ));
    }
}

#[test]
fn the_correct_view_cache_passes_with_faults() {
    for seed in 0..50 {
        let env = InMemoryTestEnv::new(|_| MutantViewCache::new(Mutation::None));
        let env = FaultyTestEnv::new(&env, FaultInjector::new(seed, 0.2), FaultyViewCache::new);
        block_on(with_seed(seed, view_cache::suite(&env, seed)));
    }
}

#[test]
fn every_view_cache_mutant_is_caught() {
    let mutations = [
        Mutation::FillIgnoresLease,
        Mutation::RefreshKeepsLease,
        Mutation::InvalidateKeepsLease,
        Mutation::OlderRowsReplace,
        Mutation::IgnoresAsOf,
        Mutation::GrantsLeaseOnEveryMiss,
        Mutation::AcceptsUsedLeases,
        Mutation::DoesNotCacheAbsence,
        Mutation::MixesViews,
    ];
    for mutation in mutations {
        let suite = |env, seed| async move { view_cache::suite(&env, seed).await };
        assert_caught(mutation, |_| MutantViewCache::new(mutation), suite);
    }
}

/// The random test alone must catch the dangerous mutants, even though any error may be an injected fault.
#[test]
fn lease_mutants_are_caught_with_faults() {
    for mutation in [Mutation::FillIgnoresLease, Mutation::RefreshKeepsLease, Mutation::InvalidateKeepsLease] {
        let suite = |env: InMemoryTestEnv<MutantViewCache>, seed| async move {
            view_cache::suite(&FaultyTestEnv::new(&env, FaultInjector::new(seed, 0.1), FaultyViewCache::new), seed)
                .await;
        };
        assert_caught(mutation, |_| MutantViewCache::new(mutation), suite);
    }
}
