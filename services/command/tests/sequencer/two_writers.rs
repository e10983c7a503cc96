//! Two processes on one store: no write is lost, and no refusal is based on a stale state.

use std::{sync::Arc, time::Duration};

use diptych_command::{CommandError, SequencerConfig};
use diptych_embedded::Storage;
use diptych_kernel::{
    Version,
    testing::{
        theatre::{Command, Event, Refusal, seat},
        with_seed,
    },
};
use futures::future::join_all;
use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::{Instant, advance};

use crate::{
    probe::{CallScript, Probe},
    process::{
        CommandResult, Process, Store, embedded, embedded_at, events_of_request, history, is_lawful, random_command,
        store, store_directly, unit, version_of,
    },
};

const SEATS: [&str; 3] = ["A1", "B2", "C3"];

/// Longer than a turn.
const A_WHILE: Duration = Duration::from_millis(50);

/// An append before which another process releases and reserves seat A1, which is at version 1.
fn conflict_on_a1() -> CallScript {
    let events = [(seat("A1"), 2, Event::released("ada")), (seat("A1"), 3, Event::reserved("eve"))];
    CallScript::AfterOthers(vec![unit(1_000_000, &Command::release("A1"), &events)])
}

async fn random_commands(process: &Process, seed: u64, caller: u128) -> Vec<(u128, CommandResult)> {
    let mut random = SmallRng::seed_from_u64(seed.wrapping_add(u64::try_from(caller).unwrap() * 7_919));
    let mut answers = Vec::new();
    for turn in 0..20 {
        let id = caller * 1_000 + turn;
        let command = random_command(&mut random, &SEATS, &format!("guest-{id}"));
        answers.push((id, process.run(id, command).await));
    }
    answers
}

async fn everything_is_stored_once(seed: u64, stores: [Arc<Store>; 2]) {
    let config = SequencerConfig { conflict_retries_max: 1_000, ..SequencerConfig::default() };
    let processes = stores.each_ref().map(|store| Process::with(store, config.clone()));
    let [store, _] = stores;
    let callers = (1..=8).map(|caller| random_commands(&processes[usize::from(caller % 2 == 0)], seed, caller));
    for (id, answer) in join_all(callers).await.concat() {
        let stored = events_of_request(&*store, id).await;
        match answer {
            Ok(done) => assert!(!done.repeated && stored > 0, "seed {seed}, request {id}: {done:?}"),
            Err(CommandError::Refused(_)) => assert_eq!(stored, 0, "seed {seed}, request {id}"),
            Err(other) => panic!("seed {seed}, request {id}: {other:?}"),
        }
    }
    for name in SEATS {
        let history = history(&*store, &seat(name)).await;
        assert!(is_lawful(&history), "seed {seed}, {name}: {history:?}");
    }
    for process in processes {
        process.stop().await;
    }
}

#[tokio::test]
async fn commands_of_two_processes_are_stored_once_each() {
    for seed in 0..50 {
        with_seed(seed, everything_is_stored_once(seed, [&store(); 2].map(Arc::clone))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_two_processes_on_two_threads_are_stored_once_each() {
    for seed in 100..110 {
        with_seed(seed, everything_is_stored_once(seed, [&store(); 2].map(Arc::clone))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_of_two_processes_on_one_folder_are_stored_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(Probe::new(embedded_at(&Storage::Directory(folder.path().to_owned()))));
    with_seed(200, everything_is_stored_once(200, [open(), open()])).await;
    // A restart finds all of it.
    let process = Process::new(&open());
    let again = process.run(1_000_000, Command::reserve("D4", "ada")).await.unwrap();
    assert!(!again.repeated);
    process.stop().await;
    let process = Process::new(&open());
    let repeated = process.run(1_000_000, Command::reserve("D4", "ada")).await.unwrap();
    assert_eq!((repeated.repeated, repeated.receipt), (true, again.receipt));
    process.stop().await;
}

#[tokio::test]
async fn a_refusal_is_not_sent_on_a_stale_state() {
    let store = store();
    let process = Process::new(&store);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    let release = unit(2, &Command::release("A1"), &[(seat("A1"), 2, Event::released("ada"))]);
    store_directly(&*store.inner, release).await;
    // In the cached state the seat is taken.
    let bob = process.run(3, Command::reserve("A1", "bob")).await;
    assert_eq!(version_of(&bob, 0), 3);
    process.stop().await;
}

#[tokio::test]
async fn an_acceptance_on_a_stale_state_is_decided_again() {
    let store = store();
    let process = Process::new(&store);
    assert_eq!(process.run(1, Command::release("A1")).await, Err(CommandError::Refused(Refusal::SeatFree)));
    let eve = Command::reserve("A1", "eve");
    store_directly(&*store.inner, unit(2, &eve, &[(seat("A1"), 1, Event::reserved("eve"))])).await;
    // In the cached state the seat is free.
    let bob = process.run(3, Command::reserve("A1", "bob")).await;
    assert_eq!(bob, Err(CommandError::Refused(Refusal::SeatTaken("eve".into()))));
    process.stop().await;
}

#[tokio::test]
async fn a_refusal_on_events_of_its_batch_and_a_stale_state_is_decided_again() {
    let store = store();
    let process = Process::new(&store);
    assert_eq!(process.run(1, Command::release("A1")).await, Err(CommandError::Refused(Refusal::SeatFree)));
    assert_eq!(process.run(2, Command::release("B2")).await, Err(CommandError::Refused(Refusal::SeatFree)));
    let eve = Command::reserve("B2", "eve");
    store_directly(&*store.inner, unit(3, &eve, &[(seat("B2"), 1, Event::reserved("eve"))])).await;
    // The append checks A1 but not B2, which is free in the cached state.
    let ada = process.submit(4, Command::reserve("A1", "ada"));
    let swap = process.submit(5, Command::swap("A1", "B2"));
    assert!(ada.await.is_ok());
    let swap = swap.await;
    assert_eq!((version_of(&swap, 0), version_of(&swap, 1)), (3, 3));
    process.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_returned_as_a_snapshot_has_changed() {
    let store = store();
    let config = SequencerConfig { snapshot_every_events: 2, ..SequencerConfig::default() };
    let (process, other) = (Process::new(&store), Process::with(&store, config));
    assert_eq!(process.run(1, Command::release("A1")).await, Err(CommandError::Refused(Refusal::SeatFree)));
    for id in (10..16).step_by(2) {
        other.run(id, Command::reserve("A1", "ada")).await.unwrap();
        other.run(id + 1, Command::release("A1")).await.unwrap();
    }
    other.run(16, Command::reserve("A1", "joe")).await.unwrap();
    other.run(20, Command::reserve("B2", "eve")).await.unwrap();
    other.run(21, Command::swap("A1", "B2")).await.unwrap();
    // Whatever the snapshot holds, the seat is taken.
    assert!(process.run(30, Command::release("A1")).await.is_ok());
    assert!(is_lawful(&history(&*store, &seat("A1")).await));
    process.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_the_commands_of_contended_streams_are_stored_in_turn_and_in_order() {
    let store = store();
    let process = Process::new(&store);
    for (id, name) in [(1, "A1"), (2, "B2")] {
        process.run(id, Command::reserve(name, "ada")).await.unwrap();
    }
    store.next_appends([conflict_on_a1()]);
    // The swap and the release depend on the contended A1, the second one by B2 only. C3 does not.
    let swap = process.submit(3, Command::swap("A1", "B2"));
    let reserve = process.submit(4, Command::reserve("C3", "bob"));
    let release = process.submit(5, Command::release("B2"));
    assert_eq!((version_of(&swap.await, 0), version_of(&release.await, 0)), (5, 4));
    assert!(reserve.await.is_ok());
    assert_eq!(store.units_per_append(), [1, 1, 3, 1, 2]);
    assert_eq!(store.turns(), 1);
    // A command that follows at once is decided in the same turn, without loading the stream again.
    let loads = store.loads();
    process.run(6, Command::release("A1")).await.unwrap();
    assert_eq!((store.units_per_append().len(), store.turns(), store.loads()), (6, 1, loads));
    // As long as other processes write to it, its commands take turns from the start. The turn ends when none follow.
    for id in 100..120 {
        advance(A_WHILE).await;
        let command = if id % 2 == 0 { Command::reserve("A1", "ada") } else { Command::release("A1") };
        process.run(id, command).await.unwrap();
    }
    assert!(store.turns() > 3, "{} turns, although each lasts for a few milliseconds", store.turns());
    assert!(store.turns() < 12, "{} turns, although no other process writes any more", store.turns());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn commands_that_were_kept_for_their_order_are_handed_over_before_those_that_waited_for_them() {
    let store = store();
    let process = Process::new(&store);
    for (id, name) in [(1, "A1"), (2, "B2"), (3, "C3")] {
        process.run(id, Command::reserve(name, "ada")).await.unwrap();
    }
    store.next_appends([conflict_on_a1()]);
    process.run(4, Command::release("A1")).await.unwrap();
    process.run(5, Command::reserve("A1", "bob")).await.unwrap();
    // A1 is contended, so the swap is claimed, and waits for the release before it. C3 turns out to be contended too.
    let events = [(seat("C3"), 2, Event::released("ada")), (seat("C3"), 3, Event::reserved("eve"))];
    store.next_appends([CallScript::AfterOthers(vec![unit(2_000_000, &Command::release("C3"), &events)])]);
    let release_b2 = process.submit(6, Command::release("B2"));
    let release_c3 = process.submit(7, Command::release("C3"));
    let swap = process.submit(8, Command::swap("A1", "B2"));
    assert_eq!(version_of(&release_b2.await, 0), 2);
    assert_eq!(version_of(&release_c3.await, 0), 4);
    assert_eq!(swap.await, Err(CommandError::Refused(Refusal::SeatFree)));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_after_some_batches_although_commands_follow() {
    let store = store();
    let process = Process::new(&store);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    store.next_appends([conflict_on_a1()]);
    for id in 2..102 {
        let command = if id % 2 == 0 { Command::release("A1") } else { Command::reserve("A1", "ada") };
        process.run(id, command).await.unwrap();
        advance(Duration::from_millis(1)).await;
    }
    assert!((4..=12).contains(&store.turns()), "{} turns within 100 ms", store.turns());
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn other_commands_do_not_wait_for_a_turn() {
    let store = store();
    let process = Process::new(&store);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    store.never_grant_turns();
    store.next_appends([conflict_on_a1()]);
    let begun_at = Instant::now();
    let contended = process.submit(2, Command::release("A1"));
    for (id, name) in [(10, "B2"), (11, "C3"), (12, "D4")] {
        process.run(id, Command::reserve(name, "bob")).await.unwrap();
    }
    assert_eq!(begun_at.elapsed(), Duration::ZERO, "they waited");
    assert_eq!(version_of(&contended.await, 0), 4);
    assert!(begun_at.elapsed() > Duration::ZERO, "the other one did not wait for its turn");
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_turn_contended_commands_are_stored_all_the_same() {
    let store = store();
    let process = Process::new(&store);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    store.never_grant_turns();
    store.next_appends([conflict_on_a1()]);
    assert_eq!(version_of(&process.run(2, Command::release("A1")).await, 0), 4);
    process.stop().await;
}

#[tokio::test]
async fn contention_fails_only_the_commands_on_the_stream() {
    let store = store();
    let config = SequencerConfig { conflict_retries_max: 2, ..SequencerConfig::default() };
    let process = Process::with(&store, config);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    // Before each attempt another process releases the seat and reserves it again. The second append is that of the
    // command that no other process is in the way of.
    store.next_appends([2, 0, 4, 6, 8].map(|version| {
        if version == 0 {
            return CallScript::Succeed;
        }
        let events = [(seat("A1"), version, Event::released("ada")), (seat("A1"), version + 1, Event::reserved("ada"))];
        CallScript::AfterOthers(vec![unit(u128::from(version) + 100, &Command::release("A1"), &events)])
    }));
    let release = process.submit(2, Command::release("A1"));
    let reserve = process.submit(3, Command::reserve("B2", "bob"));
    let (expected, actual) = (Version::new(7), Version::new(9));
    assert_eq!(release.await, Err(CommandError::Contention { stream_id: seat("A1"), expected, actual }));
    assert!(reserve.await.is_ok());
    assert_eq!(
        store.units_per_append(),
        [1, 2, 1, 1, 1, 1],
        "after the first conflict, the other command is stored alone"
    );
    assert_eq!(events_of_request(&*store, 2).await, 0);
    // No other process writes any more.
    assert_eq!(version_of(&process.run(2, Command::release("A1")).await, 0), 10);
    process.stop().await;
}

#[tokio::test]
async fn a_refused_command_is_not_committed_later_by_an_append_in_flight() {
    let inner = embedded();
    let stores = [(); 2].map(|()| Arc::new(Probe::new(Arc::clone(&inner))));
    let processes = stores.each_ref().map(Process::new);
    // One process has decided both commands, and its append is under way.
    stores[0].block_appends();
    let reserve = processes[0].submit(1, Command::reserve("A1", "ada"));
    let release = processes[0].submit(2, Command::release("A1"));
    stores[0].appends_begun(1).await;
    // Its caller repeats the second command at the other process, which sees neither.
    assert_eq!(processes[1].run(2, Command::release("A1")).await, Err(CommandError::Refused(Refusal::SeatFree)));
    stores[0].unblock_appends();
    assert!(reserve.await.is_ok());
    let refused = CommandError::RefusedBefore(Box::new(CommandError::Refused(Refusal::SeatFree)));
    assert_eq!(release.await, Err(refused), "what was refused stays refused");
    assert_eq!(events_of_request(&*inner, 2).await, 0);
    for process in processes {
        process.stop().await;
    }
}
