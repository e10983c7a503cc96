//! Who leads.

use std::time::Duration;

use futures::future::join_all;

use super::{LEASE, LONG};
use crate::{
    ports::{LeaseOutcome, RelayState},
    testing::{TestEnv, support::Trial},
};

pub(super) async fn one_owner_holds_the_lease<P: TestEnv<Handle: RelayState>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.leaderless().await, trial.env.handle().await);
    let (fence, _) = trial.lead(&mine, "ada").await;
    assert_eq!(trial.led_by(&other, "bob").await, "ada");
    assert_eq!(trial.led_by(&mine, "bob").await, "ada", "owners count, not handles");
    assert_eq!(trial.lead(&other, "ada").await.0, fence, "the same leadership while it is extended without a break");

    // Many ask at the same time: one gets it.
    trial.leaderless().await;
    let owners = ["ada", "bob", "eve", "joe"];
    let asked = join_all(owners.map(|owner| {
        let state = if owner < "e" { &mine } else { &other };
        trial.acquire(state, owner)
    }));
    let held = asked.await.into_iter().filter(|outcome| matches!(outcome, LeaseOutcome::Held { .. })).count();
    assert_eq!(held, 1, "one leads at a time");
}

pub(super) async fn a_lease_that_is_not_extended_ends<P: TestEnv<Handle: RelayState>>(trial: &Trial<'_, P>) {
    let state = trial.leaderless().await;
    let (first, _) = trial.lead(&state, "ada").await;
    trial.env.advance(LEASE / 2).await;
    let expires_at = match trial.acquire(&state, "bob").await {
        LeaseOutcome::HeldByOther { expires_at, .. } => expires_at,
        LeaseOutcome::Held { .. } => panic!("bob leads before the lease of ada has ended"),
    };
    trial.env.advance(LONG).await;
    let (second, _) = trial.lead(&state, "bob").await;
    assert!(second > first, "every new leadership has a larger fence");
    assert_eq!(trial.led_by(&state, "ada").await, "bob");

    // Also where the same owner comes back after a break.
    trial.env.advance(LONG).await;
    let (third, _) = trial.lead(&state, "bob").await;
    assert!(third > second, "a break makes a new leadership");
    match trial.acquire(&state, "ada").await {
        LeaseOutcome::HeldByOther { expires_at: later, .. } => assert!(later > expires_at),
        LeaseOutcome::Held { .. } => panic!("ada leads beside bob"),
    }
}

pub(super) async fn a_lease_is_extended_by_asking_and_by_moving<P: TestEnv<Handle: RelayState>>(trial: &Trial<'_, P>) {
    let state = trial.leaderless().await;
    let (fence, cursor) = trial.lead(&state, "ada").await;
    for _ in 0..3 {
        trial.env.advance(LEASE * 3 / 4).await;
        assert_eq!(trial.lead(&state, "ada").await.0, fence);
        trial.env.advance(LEASE * 3 / 4).await;
        trial.move_to(&state, fence, &cursor).await;
        assert_eq!(trial.led_by(&state, "bob").await, "ada");
    }
}

pub(super) async fn a_lease_that_is_given_back_is_free<P: TestEnv<Handle: RelayState>>(trial: &Trial<'_, P>) {
    let (mine, other) = (trial.leaderless().await, trial.env.handle().await);
    let (first, _) = trial.lead(&mine, "ada").await;
    trial.release(&mine, first).await;
    trial.release(&mine, first).await;
    let (second, _) = trial.lead(&other, "bob").await;
    assert!(second > first);
    // What is not held is not given back.
    trial.release(&mine, first).await;
    assert_eq!(trial.led_by(&mine, "ada").await, "bob");
    trial.env.advance(Duration::from_secs(1)).await;
    assert_eq!(trial.lead(&other, "bob").await.0, second);
}
