//! A relay state in memory.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Toy, assert_caught};
use crate::{
    ports::{CursorOutcome, Fence, LeaseOutcome, PortResult, RelayCursor, RelayState},
    testing::{
        FaultyTestEnv, ManualClock, block_on,
        faulty::{FaultInjector, FaultyRelayState},
        relay_state, with_seed,
    },
    vocabulary::{Clock, Partitions, Timestamp},
};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Two lead at a time.
    EverybodyLeads,
    /// A lease holds for ever.
    NeverExpires,
    /// The same owner gets the same fence after a break.
    FenceSurvivesABreak,
    /// Extending makes a new leadership.
    FenceChanges,
    /// Old leaders move the cursor.
    NobodyIsFenced,
    /// Whoever asks gives the lease back.
    AnybodyReleases,
    /// The cursor goes back.
    CursorGoesBack,
    /// Moving does not extend.
    MovingDoesNotExtend,
    /// The next leader begins anew.
    CursorIsTheLeaders,
}

struct State {
    owner: Option<String>,
    expires_at: Timestamp,
    fence: u64,
    cursor: RelayCursor,
}

struct ToyRelayState {
    fault: Fault,
    clock: Arc<ManualClock>,
    state: Mutex<State>,
}

fn partitions() -> Partitions {
    Partitions::new(4).unwrap()
}

impl ToyRelayState {
    fn new(fault: Fault, clock: Arc<ManualClock>) -> Self {
        let cursor = RelayCursor::start(partitions());
        let state = State { owner: None, expires_at: Timestamp::default(), fence: 0, cursor };
        Self { fault, clock, state: Mutex::new(state) }
    }

    fn later(&self, duration: Duration) -> Timestamp {
        self.clock.now().plus_micros(i64::try_from(duration.as_micros()).unwrap())
    }
}

impl RelayState for ToyRelayState {
    async fn acquire_lease(&self, owner: &str, duration: Duration) -> PortResult<LeaseOutcome> {
        let mut state = self.state.lock();
        let is_running = state.expires_at > self.clock.now() || self.fault == Fault::NeverExpires;
        let is_mine = state.owner.as_deref() == Some(owner);
        if let Some(other) =
            state.owner.clone().filter(|_| is_running && !is_mine && self.fault != Fault::EverybodyLeads)
        {
            return Ok(LeaseOutcome::HeldByOther { owner: other, expires_at: state.expires_at });
        }
        let is_extended = is_mine && (is_running || self.fault == Fault::FenceSurvivesABreak);
        if !is_extended || self.fault == Fault::FenceChanges {
            state.fence += 1;
        }
        if !is_mine && self.fault == Fault::CursorIsTheLeaders {
            state.cursor = RelayCursor::start(partitions());
        }
        state.owner = Some(owner.to_owned());
        state.expires_at = self.later(duration);
        Ok(LeaseOutcome::Held { fence: Fence(state.fence), cursor: state.cursor.clone() })
    }

    async fn move_cursor(&self, fence: Fence, cursor: &RelayCursor, duration: Duration) -> PortResult<CursorOutcome> {
        let mut state = self.state.lock();
        let leads = state.owner.is_some() && state.fence == fence.0;
        if !leads && self.fault != Fault::NobodyIsFenced {
            return Ok(CursorOutcome::Fenced);
        }
        if cursor.published_up_to > state.cursor.published_up_to || self.fault == Fault::CursorGoesBack {
            state.cursor = cursor.clone();
        }
        if self.fault != Fault::MovingDoesNotExtend {
            state.expires_at = self.later(duration);
        }
        Ok(CursorOutcome::Moved)
    }

    async fn release_lease(&self, fence: Fence) -> PortResult<()> {
        let mut state = self.state.lock();
        if state.fence == fence.0 || self.fault == Fault::AnybodyReleases {
            state.owner = None;
        }
        Ok(())
    }
}

#[test]
fn a_whole_relay_state_passes() {
    for seed in 0..20 {
        let toy = Toy::new(|clock| ToyRelayState::new(Fault::None, clock));
        block_on(with_seed(seed, relay_state::suite(&toy, partitions(), seed)));
    }
}

#[test]
fn a_whole_relay_state_passes_with_faults() {
    for seed in 0..50 {
        let toy = Toy::new(|clock| ToyRelayState::new(Fault::None, clock));
        let env = FaultyTestEnv::new(&toy, FaultInjector::new(seed, 0.2), FaultyRelayState::new);
        block_on(with_seed(seed, relay_state::suite(&env, partitions(), seed)));
    }
}

#[test]
fn a_broken_relay_state_is_caught() {
    let faults = [
        Fault::EverybodyLeads,
        Fault::NeverExpires,
        Fault::FenceSurvivesABreak,
        Fault::FenceChanges,
        Fault::NobodyIsFenced,
        Fault::AnybodyReleases,
        Fault::CursorGoesBack,
        Fault::MovingDoesNotExtend,
        Fault::CursorIsTheLeaders,
    ];
    for fault in faults {
        let suite = |env, seed| async move { relay_state::suite(&env, partitions(), seed).await };
        assert_caught(fault, |clock| ToyRelayState::new(fault, clock), suite);
    }
}
