//! Random operations against a model.

use std::time::Duration;

use super::{LEASE, LONG, cursor_at};
use crate::{
    ports::{CursorOutcome, Fence, LeaseOutcome, RelayCursor, RelayState},
    testing::{TestEnv, support::Trial},
    vocabulary::Partitions,
};

const STEPS: usize = 40;
const OWNERS: [&str; 3] = ["ada", "bob", "eve"];

/// What must be so.
struct Model {
    leader: Option<&'static str>,
    /// Until when the leader surely leads.
    left: Duration,
    fences: Vec<Fence>,
    cursor: RelayCursor,
    next_number: i64,
}

pub(super) async fn random_operations_agree_with_a_model<P: TestEnv<Handle: RelayState>>(
    trial: &Trial<'_, P>,
    partitions: Partitions,
) {
    let handles = [trial.leaderless().await, trial.env.handle().await];
    let (fence, cursor) = trial.lead(&handles[0], OWNERS[0]).await;
    let next_number = cursor.published_up_to.as_i64() + 1;
    let mut model = Model { leader: Some(OWNERS[0]), left: LEASE, fences: vec![fence], cursor, next_number };
    for _ in 0..STEPS {
        let state = trial.pick(&handles);
        match trial.below(8) {
            0..3 => acquire(trial, state, &mut model).await,
            3..6 => move_cursor(trial, state, partitions, &mut model).await,
            6 => {
                let fence = *trial.pick(&model.fences);
                trial.release(state, fence).await;
                if model.fences.last() == Some(&fence) {
                    model.leader = None;
                }
            }
            _ => {
                let by = if trial.chance(0.5) { LONG } else { LEASE / 4 };
                trial.env.advance(by).await;
                model.left = model.left.saturating_sub(by);
            }
        }
    }
}

async fn acquire<P: TestEnv<Handle: RelayState>>(trial: &Trial<'_, P>, state: &P::Handle, model: &mut Model) {
    let owner = *trial.pick(&OWNERS);
    let holder = model.leader.filter(|_| !model.left.is_zero());
    match (trial.acquire(state, owner).await, holder) {
        (LeaseOutcome::HeldByOther { owner: told, .. }, Some(holder)) => {
            assert_ne!(holder, owner, "{owner} leads and is told that it does not");
            assert_eq!(told, holder);
            return;
        }
        (LeaseOutcome::HeldByOther { owner: told, .. }, None) => panic!("nobody leads, yet {told} is said to"),
        (LeaseOutcome::Held { fence, cursor }, holder) => {
            assert_eq!(cursor, model.cursor);
            let newest = *model.fences.last().unwrap();
            match holder {
                Some(holder) => assert_eq!((holder, newest), (owner, fence), "an extended leadership is the same"),
                None => assert!(fence > newest, "a new leadership has a larger fence"),
            }
            if fence != newest {
                model.fences.push(fence);
            }
        }
    }
    (model.leader, model.left) = (Some(owner), LEASE);
}

async fn move_cursor<P: TestEnv<Handle: RelayState>>(
    trial: &Trial<'_, P>,
    state: &P::Handle,
    partitions: Partitions,
    model: &mut Model,
) {
    let fence = *trial.pick(&model.fences);
    let is_newest = model.fences.last() == Some(&fence);
    model.next_number += 1;
    let cursor =
        if trial.chance(0.8) { cursor_at(partitions, model.next_number) } else { RelayCursor::start(partitions) };
    match trial.move_to(state, fence, &cursor).await {
        CursorOutcome::Fenced => {
            assert!(!is_newest || model.leader.is_none() || model.left.is_zero(), "the leader is fenced");
        }
        CursorOutcome::Moved => {
            // Whose lease has ended may go on as long as nobody else leads.
            assert!(is_newest && model.leader.is_some(), "somebody else moved the cursor");
            model.left = LEASE;
            if cursor.published_up_to > model.cursor.published_up_to {
                model.cursor = cursor;
            }
        }
    }
}
