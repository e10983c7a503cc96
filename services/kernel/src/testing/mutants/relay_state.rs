//! In-memory relay state and its mutants.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{InMemoryTestEnv, assert_caught};
use crate::{
    ports::{CursorOutcome, Fence, LeaseOutcome, PortResult, RelayCursor, RelayState},
    testing::{
        FaultyTestEnv, ManualClock, block_on,
        faulty::{FaultInjector, FaultyRelayState},
        relay_state, with_seed,
    },
    vocabulary::{Clock, Partitions, Timestamp},
};

/// The rule that a mutant breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// Grants the lease while another owner holds it.
    AllowsTwoLeaders,
    /// Leases never expire.
    NeverExpires,
    /// The same owner keeps its fence after its lease has expired.
    KeepsFenceAfterExpiry,
    /// Extending the lease changes the fence.
    ChangesFenceOnExtension,
    /// Former leaders can move the cursor.
    NeverFences,
    /// Releases the lease for any fence.
    ReleasesForAnyFence,
    /// The cursor can move back.
    MovesCursorBack,
    /// Moving the cursor does not extend the lease.
    MoveDoesNotExtendLease,
    /// A new leader starts with an empty cursor.
    ResetsCursorForNewLeader,
}

struct State {
    owner: Option<String>,
    expires_at: Timestamp,
    fence: u64,
    cursor: RelayCursor,
}

struct MutantRelayState {
    mutation: Mutation,
    clock: Arc<ManualClock>,
    state: Mutex<State>,
}

fn partitions() -> Partitions {
    Partitions::new(4).unwrap()
}

impl MutantRelayState {
    fn new(mutation: Mutation, clock: Arc<ManualClock>) -> Self {
        let cursor = RelayCursor::start(partitions());
        let state = State { owner: None, expires_at: Timestamp::default(), fence: 0, cursor };
        Self { mutation, clock, state: Mutex::new(state) }
    }

    fn later(&self, duration: Duration) -> Timestamp {
        self.clock.now().plus_micros(i64::try_from(duration.as_micros()).unwrap())
    }
}

impl RelayState for MutantRelayState {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        let mut state = self.state.lock();
        let is_running = state.expires_at > self.clock.now() || self.mutation == Mutation::NeverExpires;
        let is_mine = state.owner.as_deref() == Some(owner);
        if let Some(other) =
            state.owner.clone().filter(|_| is_running && !is_mine && self.mutation != Mutation::AllowsTwoLeaders)
        {
            return Ok(LeaseOutcome::HeldByOther { owner: other, expires_at: state.expires_at });
        }
        let is_extended = is_mine && (is_running || self.mutation == Mutation::KeepsFenceAfterExpiry);
        if !is_extended || self.mutation == Mutation::ChangesFenceOnExtension {
            state.fence += 1;
        }
        if !is_mine && self.mutation == Mutation::ResetsCursorForNewLeader {
            state.cursor = RelayCursor::start(partitions());
        }
        state.owner = Some(owner.to_owned());
        state.expires_at = self.later(duration);
        Ok(LeaseOutcome::Held { fence: Fence(state.fence), cursor: state.cursor.clone() })
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        let mut state = self.state.lock();
        let leads = state.owner.is_some() && state.fence == fence.0;
        if !leads && self.mutation != Mutation::NeverFences {
            return Ok(CursorOutcome::Fenced);
        }
        if cursor.published_up_to > state.cursor.published_up_to || self.mutation == Mutation::MovesCursorBack {
            state.cursor = cursor.clone();
        }
        if self.mutation != Mutation::MoveDoesNotExtendLease {
            state.expires_at = self.later(duration);
        }
        Ok(CursorOutcome::Moved)
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        let mut state = self.state.lock();
        if state.fence == fence.0 || self.mutation == Mutation::ReleasesForAnyFence {
            state.owner = None;
        }
        Ok(())
    }
}

#[test]
fn the_correct_relay_state_passes() {
    for seed in 0..20 {
        let env = InMemoryTestEnv::new(|clock| MutantRelayState::new(Mutation::None, clock));
        block_on(with_seed(seed, relay_state::suite(&env, partitions(), seed)));
    }
}

#[test]
fn the_correct_relay_state_passes_with_faults() {
    for seed in 0..50 {
        let env = InMemoryTestEnv::new(|clock| MutantRelayState::new(Mutation::None, clock));
        let env = FaultyTestEnv::new(&env, FaultInjector::new(seed, 0.2), FaultyRelayState::new);
        block_on(with_seed(seed, relay_state::suite(&env, partitions(), seed)));
    }
}

#[test]
fn every_relay_state_mutant_is_caught() {
    let mutations = [
        Mutation::AllowsTwoLeaders,
        Mutation::NeverExpires,
        Mutation::KeepsFenceAfterExpiry,
        Mutation::ChangesFenceOnExtension,
        Mutation::NeverFences,
        Mutation::ReleasesForAnyFence,
        Mutation::MovesCursorBack,
        Mutation::MoveDoesNotExtendLease,
        Mutation::ResetsCursorForNewLeader,
    ];
    for mutation in mutations {
        let suite = |env, seed| async move { relay_state::suite(&env, partitions(), seed).await };
        assert_caught(mutation, |clock| MutantRelayState::new(mutation, clock), suite);
    }
}
