//! The suite of [`EventLog`].

mod crash;
mod ends;
mod fixture;
mod groups;
mod random;
mod reading;

use super::{TestEnv, support::Trial};
use crate::ports::EventLog;

/// Checks every sentence of the contract of [`EventLog`] on a fresh place with at least four partitions, random operations of
/// members that come and go among it.
///
/// # Panics
/// When the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: EventLog>>(env: &P, seed: u64) {
    let trial = &Trial::new(env, seed);
    ends::an_empty_log_ends_at_its_start(trial).await;
    ends::ends_tell_offset_and_last_event(trial).await;
    reading::records_keep_their_order(trial).await;
    reading::groups_are_independent(trial).await;
    reading::a_group_goes_on_where_it_committed(trial).await;
    reading::reading_starts_where_it_is_told_to(trial).await;
    reading::nothing_is_read_before_it_is_started(trial).await;
    reading::waiting_ends_with_an_append(trial).await;
    groups::members_share_the_partitions(trial).await;
    groups::a_guard_holds_the_group_up(trial).await;
    groups::a_zombie_is_fenced(trial).await;
    groups::a_busy_member_keeps_its_partitions(trial).await;
    groups::a_commit_is_stored_whole_or_not(trial).await;
    groups::a_member_that_comes_back_gets_its_partitions(trial).await;
    groups::a_member_that_leaves_is_replaced(trial).await;
    crash::a_crash_between_any_two_steps_loses_nothing(trial).await;
    random::members_come_and_go_and_nothing_is_lost(trial).await;
}
