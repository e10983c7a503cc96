//! Conformance suite of [`CommandQueueState`].

use std::{sync::Arc, time::Duration};

use futures::future::join_all;

use super::{TestEnv, support::SuiteRun};
use crate::ports::{CommandQueueState, Fence, Offset, QueueLease};

/// Duration of the leases in these tests.
const LEASE_DURATION: Duration = Duration::from_secs(10);
/// Time after which every lease has expired.
const AFTER_EXPIRY: Duration = Duration::from_secs(60);

/// Checks every rule of the contract of [`CommandQueueState`] on a fresh database.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: CommandQueueState>>(env: &P, seed: u64) {
    let run = &SuiteRun::new(env, seed);
    nothing_is_done_at_first(run).await;
    one_owner_holds_the_lease(run).await;
    a_lease_that_is_not_extended_expires(run).await;
    moving_extends_the_lease(run).await;
    the_cursor_is_what_the_newest_leader_says(run).await;
    a_released_lease_is_free(run).await;
}

impl<P: TestEnv<Handle: CommandQueueState>> SuiteRun<'_, P> {
    /// Waits until every lease has expired, and returns a new handle.
    async fn without_leader(&self) -> Arc<P::Handle> {
        self.env.advance(AFTER_EXPIRY).await;
        self.env.handle().await
    }

    async fn request(&self, state: &P::Handle, owner: &str) -> QueueLease {
        let request = async || state.acquire_queue_lease(owner, LEASE_DURATION).await;
        self.retry("acquire_queue_lease", request).await
    }

    /// Takes or extends the lease, which no other owner holds.
    async fn become_leader(&self, state: &P::Handle, owner: &str) -> Fence {
        self.request(state, owner).await.fence.unwrap_or_else(|| panic!("{owner} gets no lease, and nobody has it"))
    }

    async fn move_queue_to(&self, state: &P::Handle, fence: Fence, done_before: u64) -> bool {
        let moving = async || state.move_queue_cursor(fence, Offset(done_before), LEASE_DURATION).await;
        self.retry("move_queue_cursor", moving).await
    }

    async fn give_up(&self, state: &P::Handle, fence: Fence) {
        self.retry("release_queue_lease", async || state.release_queue_lease(fence).await).await;
    }
}

async fn nothing_is_done_at_first<P: TestEnv<Handle: CommandQueueState>>(run: &SuiteRun<'_, P>) {
    let state = run.env.handle().await;
    let QueueLease { fence, done_before } = run.request(&state, "ada").await;
    assert!(fence.is_some());
    assert_eq!(done_before, Offset(0));
}

async fn one_owner_holds_the_lease<P: TestEnv<Handle: CommandQueueState>>(run: &SuiteRun<'_, P>) {
    let (mine, other) = (run.without_leader().await, run.env.handle().await);
    let fence = run.become_leader(&mine, "ada").await;
    assert!(run.move_queue_to(&mine, fence, 7).await);
    for state in [&mine, &other] {
        let refused = run.request(state, "bob").await;
        assert_eq!(refused, QueueLease { fence: None, done_before: Offset(7) }, "the cursor is told to everybody");
    }
    assert_eq!(run.become_leader(&other, "ada").await, fence, "the lease belongs to an owner, not to a handle");

    run.without_leader().await;
    let requests =
        ["ada", "bob", "eve", "joe"].map(|owner| run.request(if owner < "e" { &mine } else { &other }, owner));
    let leaders = join_all(requests).await.into_iter().filter(|lease| lease.fence.is_some()).count();
    assert_eq!(leaders, 1, "exactly one owner leads");
}

async fn a_lease_that_is_not_extended_expires<P: TestEnv<Handle: CommandQueueState>>(run: &SuiteRun<'_, P>) {
    let state = run.without_leader().await;
    let first = run.become_leader(&state, "ada").await;
    run.env.advance(LEASE_DURATION / 2).await;
    assert_eq!(run.request(&state, "bob").await.fence, None, "the lease has not expired");
    run.env.advance(AFTER_EXPIRY).await;
    let second = run.become_leader(&state, "bob").await;
    assert!(second > first, "every new leadership has a larger fence");
    run.env.advance(AFTER_EXPIRY).await;
    assert!(run.become_leader(&state, "bob").await > second, "also of the same owner");
}

async fn moving_extends_the_lease<P: TestEnv<Handle: CommandQueueState>>(run: &SuiteRun<'_, P>) {
    let state = run.without_leader().await;
    let fence = run.become_leader(&state, "ada").await;
    for done_before in 100..104 {
        run.env.advance(LEASE_DURATION * 3 / 4).await;
        assert!(run.move_queue_to(&state, fence, done_before).await);
        assert_eq!(run.request(&state, "bob").await.fence, None);
    }
}

async fn the_cursor_is_what_the_newest_leader_says<P: TestEnv<Handle: CommandQueueState>>(run: &SuiteRun<'_, P>) {
    let state = run.without_leader().await;
    let first = run.become_leader(&state, "ada").await;
    assert!(run.move_queue_to(&state, first, 500).await);
    run.env.advance(AFTER_EXPIRY).await;
    assert!(run.move_queue_to(&state, first, 510).await, "an expired lease that nobody took since still counts");
    run.env.advance(AFTER_EXPIRY).await;
    let second = run.become_leader(&state, "bob").await;
    assert!(!run.move_queue_to(&state, first, 520).await, "an earlier leader moved the cursor");
    assert_eq!(run.request(&*run.env.handle().await, "bob").await.done_before, Offset(510));
    assert!(run.move_queue_to(&state, second, 3).await, "the queue was made anew");
    assert_eq!(run.request(&state, "bob").await.done_before, Offset(3));
    assert!(!run.move_queue_to(&state, Fence(second.0 + 1), 530).await, "a fence that nobody has");
    assert!(!run.move_queue_to(&state, Fence(u64::MAX), 530).await);
}

async fn a_released_lease_is_free<P: TestEnv<Handle: CommandQueueState>>(run: &SuiteRun<'_, P>) {
    let state = run.without_leader().await;
    let first = run.become_leader(&state, "ada").await;
    run.give_up(&state, first).await;
    assert!(!run.move_queue_to(&state, first, 600).await, "a released lease moved the cursor");
    let second = run.become_leader(&state, "bob").await;
    assert!(second > first);
    run.give_up(&state, first).await;
    assert!(run.move_queue_to(&state, second, 600).await, "the release of an earlier lease ended a later one");
}
