//! How far the work has got.

use super::{LONG, cursor_at};
use crate::{
    ports::{CursorOutcome, Fence, RelayCursor, RelayState},
    testing::{TestEnv, support::Trial},
    vocabulary::Partitions,
};

pub(super) async fn nothing_is_published_at_first<P: TestEnv<Handle: RelayState>>(
    trial: &Trial<'_, P>,
    partitions: Partitions,
) {
    let state = trial.leaderless().await;
    let (_, cursor) = trial.lead(&state, "ada").await;
    assert_eq!(cursor, RelayCursor::start(partitions));
}

pub(super) async fn the_cursor_survives_its_leader<P: TestEnv<Handle: RelayState>>(
    trial: &Trial<'_, P>,
    partitions: Partitions,
) {
    let (mine, other) = (trial.leaderless().await, trial.env.handle().await);
    let (fence, _) = trial.lead(&mine, "ada").await;
    let mut cursor = cursor_at(partitions, 1_000);
    cursor.last_positions[0] = cursor_at(partitions, 700).published_up_to;
    assert_eq!(trial.move_to(&mine, fence, &cursor).await, CursorOutcome::Moved);
    assert_eq!(trial.lead(&mine, "ada").await.1, cursor);
    trial.env.advance(LONG).await;
    assert_eq!(trial.lead(&other, "bob").await.1, cursor, "the next leader goes on from there");
}

pub(super) async fn the_cursor_is_moved_by_the_newest_leader_only<P: TestEnv<Handle: RelayState>>(
    trial: &Trial<'_, P>,
    partitions: Partitions,
) {
    let state = trial.leaderless().await;
    let (old, _) = trial.lead(&state, "ada").await;
    trial.env.advance(LONG).await;
    let (new, before) = trial.lead(&state, "bob").await;
    let cursor = cursor_at(partitions, 2_000);
    for fence in [old, Fence(0), Fence(new.0 + 1)] {
        assert_eq!(trial.move_to(&state, fence, &cursor).await, CursorOutcome::Fenced, "{fence:?}");
    }
    assert_eq!(trial.lead(&state, "bob").await, (new, before), "nothing changed");
    assert_eq!(trial.move_to(&state, new, &cursor).await, CursorOutcome::Moved);
    assert_eq!(trial.lead(&state, "bob").await, (new, cursor));

    trial.release(&state, new).await;
    let outcome = trial.move_to(&state, new, &cursor_at(partitions, 2_001)).await;
    assert_eq!(outcome, CursorOutcome::Fenced, "who gave the lease back leads no longer");
}

pub(super) async fn the_cursor_never_goes_back<P: TestEnv<Handle: RelayState>>(
    trial: &Trial<'_, P>,
    partitions: Partitions,
) {
    let state = trial.leaderless().await;
    let (fence, _) = trial.lead(&state, "ada").await;
    let cursor = cursor_at(partitions, 3_000);
    trial.move_to(&state, fence, &cursor).await;
    trial.move_to(&state, fence, &cursor_at(partitions, 2_999)).await;
    trial.move_to(&state, fence, &RelayCursor::start(partitions)).await;
    assert_eq!(trial.lead(&state, "ada").await.1, cursor);
}
