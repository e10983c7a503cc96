//! The suite of [`RelayState`].

mod cursor;
mod lease;
mod random;

use std::{sync::Arc, time::Duration};

use super::{TestEnv, support::Trial};
use crate::{
    ports::{CursorOutcome, Fence, LeaseOutcome, RelayCursor, RelayState},
    vocabulary::{Partitions, Position},
};

/// How long a lease of these tests lasts.
const LEASE: Duration = Duration::from_secs(10);
/// Long enough for every lease to have ended.
const LONG: Duration = Duration::from_secs(60);

/// Checks every sentence of the contract of [`RelayState`] on a fresh place with so many partitions, random operations against a model
/// among it.
///
/// # Panics
/// When the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: RelayState>>(env: &P, partitions: Partitions, seed: u64) {
    let trial = &Trial::new(env, seed);
    cursor::nothing_is_published_at_first(trial, partitions).await;
    lease::one_owner_holds_the_lease(trial).await;
    lease::a_lease_that_is_not_extended_ends(trial).await;
    lease::a_lease_is_extended_by_asking_and_by_moving(trial).await;
    lease::a_lease_that_is_given_back_is_free(trial).await;
    cursor::the_cursor_survives_its_leader(trial, partitions).await;
    cursor::the_cursor_is_moved_by_the_newest_leader_only(trial, partitions).await;
    cursor::the_cursor_never_goes_back(trial, partitions).await;
    random::random_operations_agree_with_a_model(trial, partitions).await;
}

/// A cursor that says `number` everywhere.
fn cursor_at(partitions: Partitions, number: i64) -> RelayCursor {
    let position = Position::from_i64(number).unwrap();
    RelayCursor { published_up_to: position, last_positions: vec![position; usize::from(partitions.count())] }
}

impl<P: TestEnv<Handle: RelayState>> Trial<'_, P> {
    /// A handle to a place where nobody leads any more.
    async fn leaderless(&self) -> Arc<P::Handle> {
        self.env.advance(LONG).await;
        self.env.handle().await
    }

    async fn acquire(&self, state: &P::Handle, owner: &str) -> LeaseOutcome {
        self.ask("acquire_lease", async || state.acquire_lease(owner, LEASE).await).await
    }

    /// Takes or extends a lease that nobody else holds.
    async fn lead(&self, state: &P::Handle, owner: &str) -> (Fence, RelayCursor) {
        match self.acquire(state, owner).await {
            LeaseOutcome::Held { fence, cursor } => (fence, cursor),
            LeaseOutcome::HeldByOther { owner: other, .. } => panic!("{owner} cannot lead, as {other} does"),
        }
    }

    /// Asks for a lease that somebody else holds.
    async fn led_by(&self, state: &P::Handle, owner: &str) -> String {
        match self.acquire(state, owner).await {
            LeaseOutcome::Held { .. } => panic!("{owner} leads beside somebody else"),
            LeaseOutcome::HeldByOther { owner, .. } => owner,
        }
    }

    async fn move_to(&self, state: &P::Handle, fence: Fence, cursor: &RelayCursor) -> CursorOutcome {
        self.ask("move_cursor", async || state.move_cursor(fence, cursor, LEASE).await).await
    }

    async fn release(&self, state: &P::Handle, fence: Fence) {
        self.ask("release_lease", async || state.release_lease(fence).await).await;
    }
}
