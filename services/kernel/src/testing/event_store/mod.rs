//! The suite of [`EventStore`].

mod appends;
mod concurrent;
mod crash;
mod fixture;
mod random;
mod reads;
mod requests;
mod snapshots;

use super::{TestEnv, support::Trial};
use crate::ports::EventStore;

/// Checks every sentence of the contract of [`EventStore`] on a fresh place, random operations against a model among it.
///
/// # Panics
/// When the adapter breaks the contract.
pub async fn suite<P: TestEnv<Handle: EventStore>>(env: &P, seed: u64) {
    let trial = &Trial::new(env, seed);
    appends::what_is_stored_is_read_back_by_everybody(trial).await;
    appends::a_batch_is_stored_whole(trial).await;
    appends::a_command_over_two_streams_is_stored_whole(trial).await;
    appends::conflicts_carry_both_versions(trial).await;
    requests::a_request_is_stored_once(trial).await;
    requests::a_stored_request_holds_its_batch_up(trial).await;
    requests::the_same_request_from_two_handles_is_stored_once(trial).await;
    requests::forgotten_requests_count_as_new(trial).await;
    reads::reading_goes_on_where_it_stopped(trial).await;
    reads::a_partition_is_read_like_the_whole(trial).await;
    reads::a_stream_is_read_in_order(trial).await;
    reads::streams_are_loaded_from_what_is_known(trial).await;
    reads::waiting_ends_with_an_append(trial).await;
    snapshots::a_snapshot_shortens_the_load(trial).await;
    snapshots::old_and_foreign_snapshots_are_ignored(trial).await;
    snapshots::a_rejected_batch_leaves_no_snapshot(trial).await;
    concurrent::a_reader_misses_nothing_while_others_write(trial).await;
    concurrent::writers_of_one_stream_take_turns(trial).await;
    crash::a_crash_between_any_two_steps_leaves_whole_units(trial).await;
    random::random_operations_agree_with_a_model(trial).await;
}

/// Lets `writers` write at the same time while a reader follows, and checks that the reader was told of every event once, in order.
/// For more parallelism than the suite itself has.
///
/// # Panics
/// When an event was passed.
pub async fn none_missed<P: TestEnv<Handle: EventStore>>(env: &P, seed: u64, writers: usize, batches: usize) {
    concurrent::none_missed(&Trial::new(env, seed), writers, batches).await;
}
