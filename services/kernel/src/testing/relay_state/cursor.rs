//! The relay's cursor.

use super::{AFTER_EXPIRY, cursor_at};
use crate::{
    ports::{CursorOutcome, Fence, RelayCursor, RelayState},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::Partitions,
};

pub(super) async fn nothing_is_published_at_first<P: TestEnv<Handle: RelayState>>(
    run: &SuiteRun<'_, P>,
    partitions: Partitions,
) {
    let state = run.leaderless().await;
    let (_, cursor) = run.lead(&state, "ada").await;
    assert_eq!(cursor, RelayCursor::start(partitions));
}

pub(super) async fn the_cursor_survives_its_leader<P: TestEnv<Handle: RelayState>>(
    run: &SuiteRun<'_, P>,
    partitions: Partitions,
) {
    let (mine, other) = (run.leaderless().await, run.env.handle().await);
    let (fence, _) = run.lead(&mine, "ada").await;
    let mut cursor = cursor_at(partitions, 1_000);
    cursor.last_positions[0] = cursor_at(partitions, 700).published_up_to;
    assert_eq!(run.move_to(&mine, fence, &cursor).await, CursorOutcome::Moved);
    assert_eq!(run.lead(&mine, "ada").await.1, cursor);
    run.env.advance(AFTER_EXPIRY).await;
    assert_eq!(run.lead(&other, "bob").await.1, cursor, "the next leader continues from the cursor");
}

pub(super) async fn the_cursor_is_moved_by_the_newest_leader_only<P: TestEnv<Handle: RelayState>>(
    run: &SuiteRun<'_, P>,
    partitions: Partitions,
) {
    let state = run.leaderless().await;
    let (old, _) = run.lead(&state, "ada").await;
    run.env.advance(AFTER_EXPIRY).await;
    let (new, before) = run.lead(&state, "bob").await;
    let cursor = cursor_at(partitions, 2_000);
    for fence in [old, Fence(0), Fence(new.0 + 1)] {
        assert_eq!(run.move_to(&state, fence, &cursor).await, CursorOutcome::Fenced, "{fence:?}");
    }
    assert_eq!(run.lead(&state, "bob").await, (new, before), "nothing changed");
    assert_eq!(run.move_to(&state, new, &cursor).await, CursorOutcome::Moved);
    assert_eq!(run.lead(&state, "bob").await, (new, cursor));

    run.release(&state, new).await;
    let outcome = run.move_to(&state, new, &cursor_at(partitions, 2_001)).await;
    assert_eq!(outcome, CursorOutcome::Fenced, "an owner that released the lease no longer leads");
}

pub(super) async fn the_cursor_never_goes_back<P: TestEnv<Handle: RelayState>>(
    run: &SuiteRun<'_, P>,
    partitions: Partitions,
) {
    let state = run.leaderless().await;
    let (fence, _) = run.lead(&state, "ada").await;
    let cursor = cursor_at(partitions, 3_000);
    run.move_to(&state, fence, &cursor).await;
    run.move_to(&state, fence, &cursor_at(partitions, 2_999)).await;
    run.move_to(&state, fence, &RelayCursor::start(partitions)).await;
    assert_eq!(run.lead(&state, "ada").await.1, cursor);
}
