//! `expected_version`: the version of the first stream when the command is decided.

use diptych_command::{CommandError, Submission};
use diptych_kernel::{
    Version,
    testing::theatre::{Command, Event, Refusal, seat},
};
use futures::future::join_all;

use crate::process::{CommandResult, Process, request_id, store, store_directly, submission, unit};

fn mismatch(expected: u32, actual: u32) -> CommandResult {
    let (expected, actual) = (Version::new(expected), Version::new(actual));
    Err(CommandError::VersionMismatch { stream_id: seat("A1"), expected, actual })
}

#[tokio::test]
async fn a_command_at_the_expected_version_is_stored() {
    let store = store();
    let process = Process::new(&store);
    assert!(process.run_at(1, 0, Command::reserve("A1", "ada")).await.is_ok());
    assert!(process.run_at(2, 1, Command::release("A1")).await.is_ok());
    process.stop().await;
}

#[tokio::test]
async fn a_mismatch_is_reported_with_both_versions() {
    let store = store();
    let process = Process::new(&store);
    assert_eq!(process.run_at(1, 1, Command::reserve("A1", "ada")).await, mismatch(1, 0));
    process.run(2, Command::reserve("A1", "ada")).await.unwrap();
    assert_eq!(process.run_at(3, 0, Command::release("A1")).await, mismatch(0, 1));
    assert_eq!(process.run_at(4, 7, Command::release("A1")).await, mismatch(7, 1));
    // The rules are applied only if the version matches.
    assert_eq!(process.run_at(5, 0, Command::reserve("A1", "bob")).await, mismatch(0, 1));
    assert_eq!(
        process.run_at(6, 1, Command::reserve("A1", "bob")).await,
        Err(CommandError::Refused(Refusal::SeatTaken("ada".into())))
    );
    process.stop().await;
}

#[tokio::test]
async fn events_of_the_same_batch_count() {
    let store = store();
    let process = Process::new(&store);
    let expect = |id, version: u32, command| {
        let expected_version = Some(Version::new(version));
        process.handle.try_submit(Submission { expected_version, ..submission(id, command) }).unwrap()
    };
    let answers = join_all([
        expect(1, 0, Command::reserve("A1", "ada")),
        expect(2, 1, Command::release("A1")),
        expect(3, 0, Command::reserve("A1", "bob")),
        expect(4, 2, Command::reserve("A1", "eve")),
    ])
    .await;
    assert!(answers[0].is_ok() && answers[1].is_ok() && answers[3].is_ok(), "{answers:?}");
    assert_eq!(answers[2], mismatch(0, 2));
    assert_eq!(store.units_per_append(), [3]);
    process.stop().await;
}

#[tokio::test]
async fn a_repeated_command_gets_its_receipt_at_any_version() {
    let store = store();
    let process = Process::new(&store);
    let first = process.run_at(1, 0, Command::reserve("A1", "ada")).await.unwrap();
    let again = process.run_at(1, 0, Command::reserve("A1", "ada")).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.receipt, first.receipt);
    assert_eq!(
        process.run_at(1, 0, Command::reserve("A1", "bob")).await,
        Err(CommandError::RequestIdReused { request_id: request_id(1) })
    );
    process.stop().await;
}

#[tokio::test]
async fn a_mismatch_is_not_reported_on_a_stale_state() {
    let store = store();
    let process = Process::new(&store);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    let release = unit(2, &Command::release("A1"), &[(seat("A1"), 2, Event::released("ada"))]);
    store_directly(&*store.inner, release).await;
    // The cached state is at version 1; the caller has seen version 2, which is current.
    assert!(process.run_at(3, 2, Command::reserve("A1", "bob")).await.is_ok());
    let release = unit(4, &Command::release("A1"), &[(seat("A1"), 4, Event::released("bob"))]);
    store_directly(&*store.inner, release).await;
    // The cached state is at version 3, as the caller expects; the stream is at version 4.
    assert_eq!(process.run_at(5, 3, Command::release("A1")).await, mismatch(3, 4));
    process.stop().await;
}
