//! Random operations against a model.

use std::time::Duration;

use super::{AFTER_EXPIRY, LEASE_DURATION, cursor_at};
use crate::{
    ports::{CursorOutcome, Fence, LeaseOutcome, RelayCursor, RelayState},
    testing::{TestEnv, support::SuiteRun},
    vocabulary::Partitions,
};

const STEPS: usize = 40;
const OWNERS: [&str; 3] = ["ada", "bob", "eve"];

/// Expected state.
struct Model {
    leader: Option<&'static str>,
    /// Time for which the leader's lease is still valid.
    left: Duration,
    fences: Vec<Fence>,
    cursor: RelayCursor,
    next_number: i64,
}

pub(super) async fn random_operations_agree_with_a_model<P: TestEnv<Handle: RelayState>>(
    run: &SuiteRun<'_, P>,
    partitions: Partitions,
) {
    let handles = [run.leaderless().await, run.env.handle().await];
    let (fence, cursor) = run.lead(&handles[0], OWNERS[0]).await;
    let next_number = cursor.published_up_to.as_i64() + 1;
    let mut model = Model { leader: Some(OWNERS[0]), left: LEASE_DURATION, fences: vec![fence], cursor, next_number };
    for _ in 0..STEPS {
        let state = run.pick(&handles);
        match run.random_below(8) {
            0..3 => acquire(run, state, &mut model).await,
            3..6 => move_cursor(run, state, partitions, &mut model).await,
            6 => {
                let fence = *run.pick(&model.fences);
                run.release(state, fence).await;
                if model.fences.last() == Some(&fence) {
                    model.leader = None;
                }
            }
            _ => {
                let by = if run.random_bool(0.5) { AFTER_EXPIRY } else { LEASE_DURATION / 4 };
                run.env.advance(by).await;
                model.left = model.left.saturating_sub(by);
            }
        }
    }
}

async fn acquire<P: TestEnv<Handle: RelayState>>(run: &SuiteRun<'_, P>, state: &P::Handle, model: &mut Model) {
    let owner = *run.pick(&OWNERS);
    let holder = model.leader.filter(|_| !model.left.is_zero());
    match (run.acquire(state, owner).await, holder) {
        (LeaseOutcome::HeldByOther { owner: reported, .. }, Some(holder)) => {
            assert_ne!(holder, owner, "{owner} leads but was refused the lease");
            assert_eq!(reported, holder);
            return;
        }
        (LeaseOutcome::HeldByOther { owner: reported, .. }, None) => {
            panic!("no owner leads, but {reported} is reported as the leader")
        }
        (LeaseOutcome::Held { fence, cursor }, holder) => {
            assert_eq!(cursor, model.cursor);
            let newest = *model.fences.last().unwrap();
            match holder {
                Some(holder) => assert_eq!((holder, newest), (owner, fence), "an extended leadership keeps its fence"),
                None => assert!(fence > newest, "a new leadership has a larger fence"),
            }
            if fence != newest {
                model.fences.push(fence);
            }
        }
    }
    (model.leader, model.left) = (Some(owner), LEASE_DURATION);
}

async fn move_cursor<P: TestEnv<Handle: RelayState>>(
    run: &SuiteRun<'_, P>,
    state: &P::Handle,
    partitions: Partitions,
    model: &mut Model,
) {
    let fence = *run.pick(&model.fences);
    let is_newest = model.fences.last() == Some(&fence);
    model.next_number += 1;
    let cursor =
        if run.random_bool(0.8) { cursor_at(partitions, model.next_number) } else { RelayCursor::start(partitions) };
    match run.move_to(state, fence, &cursor).await {
        CursorOutcome::EventsLost => panic!("no event was read"),
        CursorOutcome::Fenced => {
            assert!(!is_newest || model.leader.is_none() || model.left.is_zero(), "the leader is fenced");
        }
        CursorOutcome::Moved => {
            // A leader whose lease has expired may continue until another owner takes the lease.
            assert!(is_newest && model.leader.is_some(), "an owner that does not lead moved the cursor");
            model.left = LEASE_DURATION;
            if cursor.published_up_to > model.cursor.published_up_to {
                model.cursor = cursor;
            }
        }
    }
}
