//! Conformance suite of [`RelayState`].

mod cursor;
mod lease;
mod random;

use std::{sync::Arc, time::Duration};

use super::{TestEnv, support::SuiteRun};
use crate::{
    ports::{CursorOutcome, Fence, LeaseOutcome, RelayCursor, RelayState},
    vocabulary::{Partitions, Position},
};

/// Duration of the leases in these tests.
const LEASE_DURATION: Duration = Duration::from_secs(10);
/// Time after which every lease has expired.
const AFTER_EXPIRY: Duration = Duration::from_secs(60);

/// Checks every rule of the contract of [`RelayState`] on a fresh database with `partitions` partitions, including
/// random operations against a model.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: RelayState>>(env: &P, partitions: Partitions, seed: u64) {
    let run = &SuiteRun::new(env, seed);
    cursor::nothing_is_published_at_first(run, partitions).await;
    lease::one_owner_holds_the_lease(run).await;
    lease::a_lease_that_is_not_extended_expires(run).await;
    lease::acquiring_and_moving_extend_the_lease(run).await;
    lease::a_released_lease_is_free(run).await;
    cursor::the_cursor_survives_its_leader(run, partitions).await;
    cursor::the_cursor_is_moved_by_the_newest_leader_only(run, partitions).await;
    cursor::the_cursor_never_goes_back(run, partitions).await;
    random::random_operations_agree_with_a_model(run, partitions).await;
}

/// A cursor with position `number` everywhere.
fn cursor_at(partitions: Partitions, number: i64) -> RelayCursor {
    let position = Position::from_i64(number).unwrap();
    RelayCursor { published_up_to: position, last_positions: vec![position; usize::from(partitions.count())] }
}

impl<P: TestEnv<Handle: RelayState>> SuiteRun<'_, P> {
    /// Waits until every lease has expired, and returns a new handle.
    async fn leaderless(&self) -> Arc<P::Handle> {
        self.env.advance(AFTER_EXPIRY).await;
        self.env.handle().await
    }

    async fn acquire(&self, state: &P::Handle, owner: &str) -> LeaseOutcome {
        self.retry("acquire_lease", async || state.acquire_lease(owner, LEASE_DURATION).await).await
    }

    /// Takes or extends the lease, which no other owner holds.
    async fn lead(&self, state: &P::Handle, owner: &str) -> (Fence, RelayCursor) {
        match self.acquire(state, owner).await {
            LeaseOutcome::Held { fence, cursor } => (fence, cursor),
            LeaseOutcome::HeldByOther { owner: other, .. } => panic!("{owner} cannot lead because {other} leads"),
        }
    }

    /// Requests the lease while another owner holds it, and returns that owner.
    async fn expect_other_leader(&self, state: &P::Handle, owner: &str) -> String {
        match self.acquire(state, owner).await {
            LeaseOutcome::Held { .. } => panic!("{owner} leads at the same time as another owner"),
            LeaseOutcome::HeldByOther { owner, .. } => owner,
        }
    }

    async fn move_to(&self, state: &P::Handle, fence: Fence, cursor: &RelayCursor) -> CursorOutcome {
        self.retry("move_cursor", async || state.move_cursor(fence, cursor, LEASE_DURATION).await).await
    }

    async fn release(&self, state: &P::Handle, fence: Fence) {
        self.retry("release_lease", async || state.release_lease(fence).await).await;
    }
}
