//! The relay's lease.

use std::time::Duration;

use futures::future::join_all;

use super::{AFTER_EXPIRY, LEASE_DURATION};
use crate::{
    ports::{LeaseOutcome, RelayState},
    testing::{TestEnv, support::SuiteRun},
};

pub(super) async fn one_owner_holds_the_lease<P: TestEnv<Handle: RelayState>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.leaderless().await, run.env.handle().await);
    let (fence, _) = run.lead(&mine, "ada").await;
    assert_eq!(run.expect_other_leader(&other, "bob").await, "ada");
    assert_eq!(run.expect_other_leader(&mine, "bob").await, "ada", "the lease belongs to an owner, not to a handle");
    assert_eq!(run.lead(&other, "ada").await.0, fence, "the fence stays the same while the lease is extended");

    // Of several concurrent requests, one gets the lease.
    run.leaderless().await;
    let owners = ["ada", "bob", "eve", "joe"];
    let attempts = join_all(owners.map(|owner| {
        let state = if owner < "e" { &mine } else { &other };
        run.acquire(state, owner)
    }));
    let held = attempts.await.into_iter().filter(|outcome| matches!(outcome, LeaseOutcome::Held { .. })).count();
    assert_eq!(held, 1, "exactly one owner leads");
}

pub(super) async fn a_lease_that_is_not_extended_expires<P: TestEnv<Handle: RelayState>>(run: &SuiteRun<'_, P>) {
    let state = run.leaderless().await;
    let (first, _) = run.lead(&state, "ada").await;
    run.env.advance(LEASE_DURATION / 2).await;
    let expires_at = match run.acquire(&state, "bob").await {
        LeaseOutcome::HeldByOther { expires_at, .. } => expires_at,
        LeaseOutcome::Held { .. } => panic!("bob leads before ada's lease has expired"),
    };
    run.env.advance(AFTER_EXPIRY).await;
    let (second, _) = run.lead(&state, "bob").await;
    assert!(second > first, "every new leadership has a larger fence");
    assert_eq!(run.expect_other_leader(&state, "ada").await, "bob");

    // Also for the same owner after its lease has expired.
    run.env.advance(AFTER_EXPIRY).await;
    let (third, _) = run.lead(&state, "bob").await;
    assert!(third > second, "an expired lease starts a new leadership");
    match run.acquire(&state, "ada").await {
        LeaseOutcome::HeldByOther { expires_at: later, .. } => assert!(later > expires_at),
        LeaseOutcome::Held { .. } => panic!("ada leads at the same time as bob"),
    }
}

pub(super) async fn acquiring_and_moving_extend_the_lease<P: TestEnv<Handle: RelayState>>(run: &SuiteRun<'_, P>) {
    let state = run.leaderless().await;
    let (fence, cursor) = run.lead(&state, "ada").await;
    for _ in 0..3 {
        run.env.advance(LEASE_DURATION * 3 / 4).await;
        assert_eq!(run.lead(&state, "ada").await.0, fence);
        run.env.advance(LEASE_DURATION * 3 / 4).await;
        run.move_to(&state, fence, &cursor).await;
        assert_eq!(run.expect_other_leader(&state, "bob").await, "ada");
    }
}

pub(super) async fn a_released_lease_is_free<P: TestEnv<Handle: RelayState>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.leaderless().await, run.env.handle().await);
    let (first, _) = run.lead(&mine, "ada").await;
    run.release(&mine, first).await;
    run.release(&mine, first).await;
    let (second, _) = run.lead(&other, "bob").await;
    assert!(second > first);
    // Releasing a lease that is not held has no effect.
    run.release(&mine, first).await;
    assert_eq!(run.expect_other_leader(&mine, "ada").await, "bob");
    run.env.advance(Duration::from_secs(1)).await;
    assert_eq!(run.lead(&other, "bob").await.0, second);
}
