//! Results of commands when the store fails.

use std::time::Duration;

use diptych_command::{CommandError, SequencerConfig};
use diptych_kernel::testing::theatre::{Command, Event, Refusal, seat};
use futures::future::join_all;
use tokio::time::Instant;

use crate::{
    probe::CallScript::{AfterOthers, DoneButUnknown, Hangs, NotDone, NotDoneButUnknown, Operator, Succeed},
    process::{Process, events, events_of_request, request_id, store, unit, version_of},
};

const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);

fn config() -> SequencerConfig {
    SequencerConfig { commit_timeout: COMMIT_TIMEOUT, ..SequencerConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn an_append_with_an_unknown_outcome_is_repeated() {
    for scripts in [
        vec![DoneButUnknown],
        vec![NotDoneButUnknown],
        vec![DoneButUnknown, NotDone, NotDoneButUnknown],
        vec![NotDone, NotDone, DoneButUnknown, DoneButUnknown],
    ] {
        let store = store();
        let attempts = scripts.len();
        store.next_appends(scripts);
        let process = Process::with(&store, config());
        let pending: Vec<_> = (1..4).map(|id| process.submit(id, Command::reserve(&format!("A{id}"), "ada"))).collect();
        for answer in join_all(pending).await {
            assert!(!answer.unwrap().repeated, "it was this submission that stored it");
        }
        assert_eq!(store.units_per_append(), vec![3; attempts + 1], "each attempt is the same");
        assert_eq!(version_of(&process.run(9, Command::release("A1")).await, 0), 2);
        process.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_still_unknown_at_the_timeout_is_reported_as_unknown() {
    for (scripts, is_stored) in
        [(vec![DoneButUnknown], true), (vec![NotDoneButUnknown], false), (vec![NotDone, DoneButUnknown], true)]
    {
        let store = store();
        store.next_appends(scripts);
        store.other_appends(|| NotDone);
        let process = Process::with(&store, config());
        let started = Instant::now();
        let first = process.submit(1, Command::reserve("A1", "ada"));
        let refused = process.submit(2, Command::reserve("A1", "bob"));
        assert_eq!(first.await, Err(CommandError::OutcomeUnknown));
        assert_eq!(refused.await, Err(CommandError::OutcomeUnknown), "its refusal depends on an unknown outcome");
        assert_eq!(started.elapsed(), COMMIT_TIMEOUT);

        store.other_appends(|| Succeed);
        assert_eq!(process.handle.receipt(request_id(1)).await.unwrap().is_some(), is_stored);
        let again = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
        assert_eq!(again.repeated, is_stored);
        assert_eq!(events(&*store, &seat("A1")).await.len(), 1);
        let taken = Err(CommandError::Refused(Refusal::SeatTaken("ada".into())));
        assert_eq!(process.run(2, Command::reserve("A1", "bob")).await, taken);
        process.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_batch_builds_on_what_an_unknown_append_stored() {
    let store = store();
    store.next_appends([DoneButUnknown, Hangs]);
    let process = Process::with(&store, config());
    assert_eq!(process.run(1, Command::reserve("A1", "ada")).await, Err(CommandError::OutcomeUnknown));
    // It was stored after all, and the next command sees it.
    assert_eq!(version_of(&process.run(2, Command::release("A1")).await, 0), 2);
    assert_eq!(store.appends(), 3);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_is_reported_as_unavailable() {
    let store = store();
    store.other_appends(|| NotDone);
    let process = Process::with(&store, config());
    assert_eq!(process.run(1, Command::reserve("A1", "ada")).await, Err(CommandError::Unavailable));
    assert!(store.appends() > 5, "the append was retried");
    assert_eq!(events_of_request(&*store, 1).await, 0);
    store.other_appends(|| Succeed);
    assert!(!process.run(1, Command::reserve("A1", "ada")).await.unwrap().repeated);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_that_needs_an_operator_is_not_retried() {
    let store = store();
    store.next_appends([Operator, NotDoneButUnknown, Operator]);
    let process = Process::with(&store, config());
    assert_eq!(process.run(1, Command::reserve("A1", "ada")).await, Err(CommandError::Suspended));
    assert_eq!(store.appends(), 1);
    // An outcome that was unknown before stays unknown.
    assert_eq!(process.run(1, Command::reserve("A1", "ada")).await, Err(CommandError::OutcomeUnknown));
    assert_eq!(events_of_request(&*store, 1).await, 0);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn loads_are_retried_until_the_timeout() {
    let store = store();
    store.next_loads([NotDone, NotDoneButUnknown]);
    let process = Process::with(&store, config());
    assert!(process.run(1, Command::reserve("A1", "ada")).await.is_ok());

    store.next_loads([NotDone, Hangs]);
    let started = Instant::now();
    assert_eq!(process.run(2, Command::reserve("B2", "bob")).await, Err(CommandError::Unavailable));
    assert_eq!(started.elapsed(), COMMIT_TIMEOUT);
    store.next_loads([Operator]);
    assert_eq!(process.run(2, Command::reserve("B2", "bob")).await, Err(CommandError::Suspended));
    store.next_loads([NotDone, Operator]);
    assert_eq!(process.handle.receipt(request_id(1)).await, Err(CommandError::Suspended));
    store.next_loads([Hangs]);
    assert_eq!(process.handle.receipt(request_id(1)).await, Err(CommandError::Unavailable));
    assert!(process.handle.receipt(request_id(1)).await.unwrap().is_some());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_loads_in_pieces_and_keeps_what_it_has_loaded() {
    let store = store();
    let process = Process::with(&store, config());
    let reserve = |id: u128| process.submit(id, Command::reserve(&format!("A{id}"), "ada"));
    // Three pieces of 128 streams. Each takes most of the deadline; the last one fails.
    store.next_loads([NotDone, Succeed, NotDone, Succeed, Hangs]);
    let started = Instant::now();
    let pending: Vec<_> = (0..384).map(reserve).collect();
    let answers = join_all(pending).await;
    assert!(answers.iter().all(|answer| *answer == Err(CommandError::Unavailable)));
    assert!(started.elapsed() >= COMMIT_TIMEOUT, "the last piece has a deadline of its own");
    assert_eq!(store.loads(), 5);
    // Only the last piece is loaded again.
    let pending: Vec<_> =
        (1_000..1_256).map(|id| process.submit(id, Command::reserve(&format!("A{}", id - 1_000), "ada"))).collect();
    assert!(join_all(pending).await.iter().all(Result::is_ok));
    assert_eq!(store.loads(), 5, "the streams of the first two pieces are cached");
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_cannot_be_confirmed_is_not_sent() {
    let store = store();
    let process = Process::with(&store, config());
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    let reserve = |id| process.run(id, Command::reserve("A1", "bob"));
    let refused = Err(CommandError::Refused(Refusal::SeatTaken("ada".into())));
    store.next_refusals([NotDone, Hangs]);
    assert_eq!(reserve(2).await, Err(CommandError::OutcomeUnknown), "it may be stored");
    store.next_refusals([Operator]);
    assert_eq!(reserve(3).await, Err(CommandError::Suspended));
    store.other_refusals(|| NotDone);
    assert_eq!(reserve(4).await, Err(CommandError::Unavailable));
    store.other_refusals(|| Succeed);
    store.next_refusals([NotDone, NotDoneButUnknown, DoneButUnknown]);
    assert_eq!(reserve(5).await, refused, "stored by this submission, at its second attempt or its last");
    // Another process commits the command between two attempts.
    let release = Command::release("A1");
    let stored_by_others = unit(6, &release, &[(seat("A1"), 2, Event::released("ada"))]);
    store.next_refusals([NotDoneButUnknown, AfterOthers(vec![stored_by_others])]);
    let mismatch = process.run_at(6, 7, release).await;
    assert!(mismatch.unwrap().repeated);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_process_may_write_while_the_outcome_of_an_append_is_unknown() {
    let store = store();
    let process = Process::with(&store, config());
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    // Another process stores the second command of the batch between two attempts, of which the first stored nothing.
    let release = Command::release("A1");
    let stored_by_others = unit(3, &release, &[(seat("A1"), 2, Event::released("ada"))]);
    store.next_appends([NotDoneButUnknown, AfterOthers(vec![stored_by_others])]);
    let first = process.submit(2, Command::reserve("B2", "bob"));
    let second = process.submit(3, release);
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.repeated, second.repeated), (false, true));
    assert_eq!(store.units_per_append(), [1, 2, 2, 1]);
    assert_eq!(events(&*store, &seat("A1")).await.len(), 2);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_append_does_not_contend_with_itself() {
    let store = store();
    let process = Process::with(&store, SequencerConfig { conflict_retries_max: 0, ..config() });
    // The second attempt finds the streams changed by the first.
    store.next_appends([DoneButUnknown]);
    let ada = process.submit(1, Command::reserve("A1", "ada"));
    let bob = process.submit(2, Command::reserve("A1", "bob"));
    assert!(!ada.await.unwrap().repeated);
    assert_eq!(bob.await, Err(CommandError::Refused(Refusal::SeatTaken("ada".into()))));
    process.stop().await;
}
