//! A cache in memory.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{Toy, assert_caught};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, FillLease, PortResult, ViewCache},
    testing::{
        FaultyTestEnv, block_on,
        faulty::{FaultInjector, FaultyViewCache},
        view_cache, with_seed,
    },
};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Whoever fills is believed.
    FillIgnoresLease,
    /// A refresh leaves the lease of a slow reader good.
    RefreshKeepsLease,
    /// An invalidation does.
    InvalidateKeepsLease,
    /// What comes last stays.
    OlderReplaces,
    /// A row known to be right for longer does not replace one that is not.
    TimeDoesNotCount,
    /// Everybody who misses may fill.
    EverybodyFills,
    /// A lease can be used again.
    LeaseIsForEver,
    /// That there is no row is not kept.
    ForgetsAbsence,
    /// Does not tell views apart.
    MixesViews,
}

#[derive(Default)]
struct State {
    rows: HashMap<(ViewId, RowKey), CachedRow>,
    leases: HashMap<(ViewId, RowKey), FillLease>,
    leases_count: u64,
}

struct ToyViewCache {
    fault: Fault,
    state: Mutex<State>,
}

impl ToyViewCache {
    fn new(fault: Fault) -> Self {
        Self { fault, state: Mutex::default() }
    }

    fn key(&self, view: ViewId, key: &RowKey) -> (ViewId, RowKey) {
        let view = if self.fault == Fault::MixesViews { ViewId { name: "any", generation: 0 } } else { view };
        (view, key.clone())
    }

    fn put(&self, state: &mut State, key: (ViewId, RowKey), row: CachedRow) {
        let is_newer = match (state.rows.get(&key), self.fault) {
            (None, _) | (_, Fault::OlderReplaces) => true,
            (Some(kept), Fault::TimeDoesNotCount) => row.position > kept.position,
            (Some(kept), _) => (row.position, row.as_of) > (kept.position, kept.as_of),
        };
        if is_newer && (row.body.is_some() || self.fault != Fault::ForgetsAbsence) {
            state.rows.insert(key, row);
        }
    }
}

impl ViewCache for ToyViewCache {
    async fn read(&self, view: ViewId, keys: &[RowKey]) -> PortResult<Vec<CacheRead>> {
        let mut state = self.state.lock();
        let mut answers = Vec::new();
        for key in keys {
            let key = self.key(view, key);
            answers.push(match state.rows.get(&key) {
                Some(row) => CacheRead::Hit(row.clone()),
                None if state.leases.contains_key(&key) && self.fault != Fault::EverybodyFills => CacheRead::Filling,
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
        if state.leases.get(&key) != Some(&lease) && self.fault != Fault::FillIgnoresLease {
            return Ok(false);
        }
        if self.fault != Fault::LeaseIsForEver {
            state.leases.remove(&key);
        }
        self.put(&mut state, key, row);
        Ok(true)
    }

    async fn refresh(&self, view: ViewId, rows: &[(RowKey, CachedRow)]) -> PortResult<()> {
        let mut state = self.state.lock();
        for (key, row) in rows {
            let key = self.key(view, key);
            if self.fault != Fault::RefreshKeepsLease {
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
            if self.fault != Fault::InvalidateKeepsLease {
                state.leases.remove(&key);
            }
        }
        Ok(())
    }
}

#[test]
fn a_whole_cache_passes() {
    for seed in 0..20 {
        block_on(with_seed(seed, view_cache::suite(&Toy::new(|_| ToyViewCache::new(Fault::None)), seed)));
    }
}

#[test]
fn a_whole_cache_passes_with_faults() {
    for seed in 0..50 {
        let toy = Toy::new(|_| ToyViewCache::new(Fault::None));
        let env = FaultyTestEnv::new(&toy, FaultInjector::new(seed, 0.2), FaultyViewCache::new);
        block_on(with_seed(seed, view_cache::suite(&env, seed)));
    }
}

#[test]
fn a_broken_cache_is_caught() {
    let faults = [
        Fault::FillIgnoresLease,
        Fault::RefreshKeepsLease,
        Fault::InvalidateKeepsLease,
        Fault::OlderReplaces,
        Fault::TimeDoesNotCount,
        Fault::EverybodyFills,
        Fault::LeaseIsForEver,
        Fault::ForgetsAbsence,
        Fault::MixesViews,
    ];
    for fault in faults {
        let suite = |env, seed| async move { view_cache::suite(&env, seed).await };
        assert_caught(fault, |_| ToyViewCache::new(fault), suite);
    }
}

/// The random test alone finds what is dangerous, also where every failure may be a liar's.
#[test]
fn a_cache_that_ignores_leases_is_caught_with_faults() {
    for fault in [Fault::FillIgnoresLease, Fault::RefreshKeepsLease, Fault::InvalidateKeepsLease] {
        let suite = |toy: Toy<ToyViewCache>, seed| async move {
            view_cache::suite(&FaultyTestEnv::new(&toy, FaultInjector::new(seed, 0.1), FaultyViewCache::new), seed)
                .await;
        };
        assert_caught(fault, |_| ToyViewCache::new(fault), suite);
    }
}
