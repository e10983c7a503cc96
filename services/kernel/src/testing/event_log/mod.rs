//! Conformance suite of [`EventLog`].

mod crash;
mod ends;
mod fixture;
mod groups;
mod random;
mod reading;

use super::{TestEnv, support::SuiteRun};
use crate::ports::EventLog;

/// Checks every rule of the contract of [`EventLog`] on a fresh log with at least four partitions, including random
/// operations of members that join and leave.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: EventLog>>(env: &P, seed: u64) {
    let run = &SuiteRun::new(env, seed);
    ends::an_empty_log_ends_at_offset_zero(run).await;
    ends::ends_report_offset_and_last_event(run).await;
    reading::records_keep_their_order(run).await;
    reading::groups_are_independent(run).await;
    reading::a_group_resumes_at_its_committed_offset(run).await;
    reading::seek_moves_back_and_forward(run).await;
    reading::nothing_is_read_before_seek(run).await;
    reading::an_append_ends_the_wait(run).await;
    groups::members_share_the_partitions(run).await;
    groups::a_revoke_guard_delays_the_rebalance(run).await;
    groups::a_zombie_is_fenced(run).await;
    groups::heartbeats_keep_a_busy_member_in_its_group(run).await;
    groups::a_commit_is_atomic(run).await;
    groups::a_member_that_rejoins_gets_its_partitions_back(run).await;
    groups::a_member_that_leaves_is_replaced(run).await;
    crash::a_crash_at_any_call_loses_nothing(run).await;
    random::members_come_and_go_and_nothing_is_lost(run).await;
}
