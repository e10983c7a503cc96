//! G2: a command takes effect once, however often it is sent.

use diptych_command::{CommandError, StoredCommand};
use diptych_kernel::{
    Version,
    testing::theatre::{Command, Event, Refusal, seat},
};

use crate::process::{Process, events, request_id, store, store_directly, unit};

#[tokio::test]
async fn the_same_command_again_gets_the_same_receipt() {
    let store = store();
    let process = Process::new(&store);
    let first = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    for _ in 0..3 {
        let again = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
        assert!(again.repeated);
        assert_eq!(again.receipt, first.receipt);
    }
    assert_eq!(events(&*store, &seat("A1")).await.len(), 1);
    process.stop().await;
}

#[tokio::test]
async fn the_same_command_twice_in_a_batch_is_one() {
    let store = store();
    let process = Process::new(&store);
    let first = process.submit(1, Command::reserve("A1", "ada"));
    let other = process.submit(1, Command::reserve("A1", "bob"));
    let again = process.submit(1, Command::reserve("A1", "ada"));
    let (first, again) = (first.await.unwrap(), again.await.unwrap());
    assert_eq!((first.repeated, again.repeated), (false, true));
    assert_eq!(first.receipt, again.receipt);
    assert_eq!(other.await, Err(CommandError::RequestIdReused { request_id: request_id(1) }));
    assert_eq!(store.units_per_append(), [1]);
    process.stop().await;
}

#[tokio::test]
async fn a_refused_command_twice_in_a_batch_is_refused_twice() {
    let store = store();
    let process = Process::new(&store);
    let first = process.submit(1, Command::release("A1"));
    let other = process.submit(1, Command::release("B2"));
    let again = process.submit(1, Command::release("A1"));
    assert_eq!(first.await, Err(CommandError::Refused(Refusal::SeatFree)));
    assert_eq!(again.await, Err(CommandError::Refused(Refusal::SeatFree)));
    assert_eq!(other.await, Err(CommandError::RequestIdReused { request_id: request_id(1) }));
    // The refusal has the id, so another command may not use it.
    let other = process.run(1, Command::reserve("B2", "bob")).await;
    assert_eq!(other, Err(CommandError::RequestIdReused { request_id: request_id(1) }));
    process.stop().await;
}

#[tokio::test]
async fn a_refused_command_again_gets_the_same_refusal() {
    let store = store();
    let process = Process::new(&store);
    assert_eq!(process.run(1, Command::release("A1")).await, Err(CommandError::Refused(Refusal::SeatFree)));
    let mismatch =
        CommandError::VersionMismatch { stream_id: seat("A1"), expected: Version::new(7), actual: Version::NONE };
    assert_eq!(process.run_at(2, 7, Command::reserve("A1", "ada")).await, Err(mismatch.clone()));
    process.run(3, Command::reserve("A1", "ada")).await.unwrap();
    let refused = Err(CommandError::RefusedBefore(Box::new(CommandError::Refused(Refusal::SeatFree))));
    let mismatched = Err(CommandError::RefusedBefore(Box::new(mismatch)));
    // The rules would accept it now. In the same process and in a new one, alone and with another command.
    let restarted = Process::new(&store);
    for (process, id) in [(&process, 10), (&restarted, 11), (&restarted, 12)] {
        let other = process.submit(id, Command::reserve(&format!("B{id}"), "bob"));
        assert_eq!(process.run(1, Command::release("A1")).await, refused);
        assert!(other.await.is_ok());
        assert_eq!(process.run_at(2, 7, Command::reserve("A1", "ada")).await, mismatched);
        let reused = Err(CommandError::RequestIdReused { request_id: request_id(1) });
        assert_eq!(process.run(1, Command::release("B10")).await, reused);
        assert_eq!(process.handle.receipt(request_id(1)).await.map(drop), refused.clone().map(|_: StoredCommand| ()));
    }
    assert_eq!(events(&*store, &seat("A1")).await.len(), 1);
    process.stop().await;
    restarted.stop().await;
}

#[tokio::test]
async fn other_content_under_a_stored_id_is_refused() {
    let store = store();
    let process = Process::new(&store);
    let first = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    let reused = Err(CommandError::RequestIdReused { request_id: request_id(1) });
    // Accepted by the rules, refused by them, and on a stream that is not cached.
    assert_eq!(process.run(1, Command::release("A1")).await, reused);
    assert_eq!(process.run(1, Command::reserve("A1", "bob")).await, reused);
    assert_eq!(process.run(1, Command::release("B2")).await, reused);
    // A repeat of the stored command gets its receipt, even after one that reuses the id in the same batch.
    let other = process.submit(1, Command::reserve("C3", "bob"));
    let same = process.submit(1, Command::reserve("A1", "ada"));
    assert_eq!(other.await, reused);
    assert_eq!(same.await.unwrap().receipt, first.receipt);
    assert_eq!(events(&*store, &seat("A1")).await.len(), 1);
    assert!(events(&*store, &seat("C3")).await.is_empty());
    process.stop().await;
}

#[tokio::test]
async fn a_receipt_outlives_the_process() {
    let store = store();
    let process = Process::new(&store);
    let first = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    process.stop().await;

    let process = Process::new(&store);
    let appends = store.appends();
    let again = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.receipt, first.receipt);
    assert_eq!(store.appends(), appends, "the request id was looked up by the load");
    process.stop().await;
}

#[tokio::test]
async fn a_repeated_command_gets_its_receipt_even_if_the_rules_refuse_it_now() {
    let store = store();
    let process = Process::new(&store);
    let reserved = process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    let released = process.run(2, Command::release("A1")).await.unwrap();
    // The state is cached, and the rules refuse the command.
    assert_eq!(process.run(2, Command::release("A1")).await.unwrap().receipt, released.receipt);
    process.run(3, Command::reserve("A1", "bob")).await.unwrap();
    assert_eq!(process.run(1, Command::reserve("A1", "ada")).await.unwrap().receipt, reserved.receipt);
    process.stop().await;
    // The state is not cached.
    let process = Process::new(&store);
    assert_eq!(process.run(1, Command::reserve("A1", "ada")).await.unwrap().receipt, reserved.receipt);
    assert_eq!(events(&*store, &seat("A1")).await.len(), 3);
    process.stop().await;
}

#[tokio::test]
async fn a_command_stored_by_another_process_is_found_despite_a_stale_state() {
    let store = store();
    let process = Process::new(&store);
    process.run(1, Command::reserve("A1", "ada")).await.unwrap();
    let release = Command::release("A1");
    store_directly(&*store.inner, unit(2, &release, &[(seat("A1"), 2, Event::released("ada"))])).await;
    let again = process.run(2, release).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.receipt.streams[0].version.number(), 2);
    // The updated state is used: the seat is free, and the next version is 3.
    assert_eq!(process.run(3, Command::reserve("A1", "bob")).await.unwrap().receipt.streams[0].version.number(), 3);
    process.stop().await;
}

#[tokio::test]
async fn repeated_and_new_commands_of_a_batch_are_distinguished() {
    let store = store();
    let process = Process::new(&store);
    for id in 0..10 {
        process.run(id, Command::reserve(&format!("A{id}"), "ada")).await.unwrap();
        process.run(100 + id, Command::release(&format!("A{id}"))).await.unwrap();
    }
    let pending: Vec<_> =
        (0..20).map(|id| (id, process.submit(id, Command::reserve(&format!("A{id}"), "ada")))).collect();
    for (id, pending) in pending {
        let done = pending.await.unwrap();
        assert_eq!(done.repeated, id < 10, "request {id}");
        assert_eq!(done.receipt.streams[0].version.number(), 1, "request {id}");
    }
    // Cached, accepted by the rules, and stored already: the append rejects it.
    let reserve = |id: u128| process.submit(id, Command::reserve(&format!("A{}", id % 100), "ada"));
    let pending: Vec<_> = [0, 1, 202, 203].into_iter().map(|id| (id, reserve(id))).collect();
    for (id, pending) in pending {
        assert_eq!(pending.await.unwrap().repeated, id < 10, "request {id}");
    }
    assert_eq!(events(&*store, &seat("A0")).await.len(), 2);
    assert_eq!(events(&*store, &seat("A2")).await.len(), 3);
    process.stop().await;
}
