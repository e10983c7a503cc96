//! Conformance suite of [`EventStore`].

mod appends;
mod concurrent;
mod crash;
mod fixture;
mod random;
mod reads;
mod refusals;
mod requests;
mod snapshots;

use super::{TestEnv, support::SuiteRun};
use crate::ports::EventStore;

/// Checks every rule of the contract of [`EventStore`] on a fresh database, including random operations against a
/// model.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: EventStore>>(env: &P, seed: u64) {
    let run = &SuiteRun::new(env, seed);
    appends::stored_events_are_read_back_through_every_handle(run).await;
    appends::a_batch_is_stored_atomically(run).await;
    appends::a_command_over_two_streams_is_stored_atomically(run).await;
    appends::conflicts_carry_both_versions(run).await;
    appends::events_that_the_log_cannot_take_are_not_stored(run).await;
    requests::a_request_is_stored_once(run).await;
    requests::a_stored_request_rejects_its_whole_batch(run).await;
    requests::the_same_request_from_two_handles_is_stored_once(run).await;
    requests::forgotten_requests_count_as_new(run).await;
    refusals::a_refusal_claims_its_request_id(run).await;
    refusals::a_stored_request_is_not_refused(run).await;
    refusals::a_refusal_on_a_changed_stream_is_not_stored(run).await;
    refusals::each_refusal_of_a_call_is_stored_by_itself(run).await;
    refusals::a_request_is_refused_or_committed_and_never_both(run).await;
    refusals::forgotten_refusals_count_as_new(run).await;
    appends::turns_are_granted_again_after_they_end(run).await;
    reads::reading_continues_after_the_cursor(run).await;
    reads::a_partition_is_read_like_the_whole_store(run).await;
    reads::a_stream_is_read_in_order(run).await;
    reads::an_event_is_found_by_its_position(run).await;
    reads::streams_are_loaded_after_the_known_version(run).await;
    reads::an_append_ends_the_wait(run).await;
    snapshots::a_snapshot_shortens_the_load(run).await;
    snapshots::older_snapshots_and_other_formats_are_ignored(run).await;
    snapshots::a_rejected_batch_leaves_no_snapshot(run).await;
    concurrent::a_reader_misses_nothing_while_others_write(run).await;
    concurrent::each_version_of_a_stream_is_won_by_one_writer(run).await;
    crash::a_crash_at_any_call_leaves_whole_batches(run).await;
    random::random_operations_agree_with_a_model(run).await;
    // The last one, as nothing can be stored afterwards.
    appends::a_suspended_store_stores_nothing(run).await;
}

/// Runs `writers` concurrent writers while a reader follows, and checks that the reader receives every event once, in
/// order. For tests with more parallelism than the suite itself has.
///
/// # Panics
/// If the reader missed an event.
pub async fn none_missed<P: TestEnv<Handle: EventStore>>(env: &P, seed: u64, writers: usize, batches: usize) {
    concurrent::none_missed(&SuiteRun::new(env, seed), writers, batches).await;
}
