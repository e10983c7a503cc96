//! Answers to callers during an outage and after it.

use std::time::Duration;

use diptych_command::{CommandError, ExpectedOutcome, QueueingConfig, ReceiptState};
use diptych_kernel::testing::theatre::{Command, Event, Refusal};
use diptych_runtime::pause;

use crate::harness::{OUTAGE, Servers, queued, request_id, stored};

#[tokio::test(start_paused = true)]
async fn a_command_that_may_be_queued_is_and_runs_when_the_database_is_back() {
    let servers = Servers::start();
    let process = servers.process("one");
    stored(process.run(1, Command::reserve("A1", "ada"), true).await);
    servers.set_down(true);
    let (release, refused) = tokio::join!(
        process.run(2, Command::release("A1"), true),
        process.run(3, Command::reserve("B2", "bob"), false)
    );
    let release = queued(release);
    assert_eq!(refused, Err(CommandError::Unavailable));
    // The breaker is open: this one is queued at once, behind the other.
    let reserve = queued(process.run(4, Command::reserve("A1", "eve"), true).await);
    assert!(reserve.offset > release.offset);
    assert_eq!(reserve.expected, Some(ExpectedOutcome::Committed));
    let taken = queued(process.run(5, Command::reserve("A1", "tom"), true).await);
    let seat_taken = Box::new(CommandError::Refused(Refusal::SeatTaken("eve".into())));
    assert_eq!(taken.expected, Some(ExpectedOutcome::Refused(seat_taken)));
    for (id, offset) in [(2, release.offset), (4, reserve.offset), (5, taken.offset)] {
        assert_eq!(process.handle.receipt_state(request_id(id)).await, Ok(ReceiptState::Queued(offset)));
    }

    servers.set_down(false);
    servers.until_drained().await;
    for id in [2, 4] {
        let state = process.handle.receipt_state(request_id(id)).await;
        assert!(matches!(state, Ok(ReceiptState::Committed(_))), "{state:?}");
    }
    let refused = process.handle.receipt_state(request_id(5)).await;
    let Err(CommandError::RefusedBefore(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(*refusal, CommandError::Refused(Refusal::SeatTaken("eve".into())));
    let expected = [Event::reserved("ada"), Event::released("ada"), Event::reserved("eve")];
    assert_eq!(servers.history("A1").await, expected);
    assert_eq!(process.handle.receipt_state(request_id(3)).await, Ok(ReceiptState::Unknown));
    stored(process.run(3, Command::reserve("B2", "bob"), false).await);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_queued_command_is_the_same_command() {
    let servers = Servers::start();
    let process = servers.process("one");
    servers.set_down(true);
    let first = queued(process.run(1, Command::reserve("A1", "ada"), true).await);
    for may_queue in [true, false] {
        let again = queued(process.run(1, Command::reserve("A1", "ada"), may_queue).await);
        assert_eq!(again.offset, first.offset);
    }
    let other = process.run(1, Command::reserve("A1", "eve"), true).await;
    assert_eq!(other, Err(CommandError::RequestIdReused { request_id: request_id(1) }));
    servers.set_down(false);
    servers.until_drained().await;
    assert!(stored(process.run(1, Command::reserve("A1", "ada"), true).await).repeated);
    assert_eq!(servers.history("A1").await, [Event::reserved("ada")]);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_command_with_a_lost_answer_takes_effect_once_although_it_is_queued() {
    let servers = Servers::start();
    let process = servers.process("one");
    stored(process.run(1, Command::reserve("A1", "ada"), true).await);
    servers.store.lose_next_answer();
    let (queued_too, ()) = tokio::join!(process.run(2, Command::release("A1"), true), async {
        pause(Duration::from_millis(1)).await;
        servers.set_down(true);
    });
    assert_eq!(queued(queued_too).expected, Some(ExpectedOutcome::Committed));
    servers.set_down(false);
    servers.until_drained().await;
    assert_eq!(servers.history("A1").await, [Event::reserved("ada"), Event::released("ada")]);
    let state = process.handle.receipt_state(request_id(2)).await;
    assert!(matches!(state, Ok(ReceiptState::Committed(_))), "{state:?}");
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queued_command_expires() {
    let servers = Servers::start();
    let process = servers.process("one");
    servers.set_down(true);
    queued(process.run_within(1, Command::reserve("A1", "ada"), Some(Some(Duration::from_secs(10)))).await);
    queued(process.run(2, Command::reserve("B2", "bob"), true).await);
    pause(Duration::from_secs(20)).await;
    servers.set_down(false);
    servers.until_drained().await;
    let expired = Err(CommandError::RefusedBefore(Box::new(CommandError::Expired)));
    assert_eq!(process.handle.receipt_state(request_id(1)).await, expired);
    assert_eq!(
        process.run(1, Command::reserve("A1", "ada"), true).await.map(|_| ()),
        expired.map(|_: ReceiptState| ())
    );
    assert_eq!(servers.history("A1").await, []);
    assert_eq!(servers.history("B2").await, [Event::reserved("bob")]);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_queue_the_command_fails_as_it_would_without_queueing() {
    let servers = Servers::start();
    let process = servers.process("one");
    servers.set_down(true);
    servers.queue.set_down(true);
    assert_eq!(process.run(1, Command::reserve("A1", "ada"), true).await, Err(CommandError::Unavailable));
    servers.queue.set_down(false);
    queued(process.run(1, Command::reserve("A1", "ada"), true).await);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let servers = Servers::start();
    let config = QueueingConfig { commands_max: 2, ..QueueingConfig::new("one") };
    let process = servers.process_with(config);
    servers.set_down(true);
    for id in 1..=2 {
        queued(process.run(id, Command::reserve(&format!("A{id}"), "ada"), true).await);
    }
    assert_eq!(process.run(3, Command::reserve("A3", "ada"), true).await, Err(CommandError::QueueFull));
    servers.set_down(false);
    servers.until_drained().await;
    stored(process.run(3, Command::reserve("A3", "ada"), true).await);
    process.stop().await;

    let config = QueueingConfig { bytes_max: 100, ..QueueingConfig::new("two") };
    let process = servers.process_with(config);
    servers.set_down(true);
    // It waits for the write database as if it could not be queued; the next one is told at once.
    assert_eq!(process.run(4, Command::reserve("A4", "ada"), true).await, Err(CommandError::Unavailable));
    assert_eq!(process.run(5, Command::reserve("A5", "ada"), true).await, Err(CommandError::QueueFull));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn commands_that_were_deleted_from_the_queue_do_not_block_their_streams() {
    let servers = Servers::start();
    let process = servers.process("one");
    servers.set_down(true);
    queued(process.run(1, Command::reserve("A1", "ada"), true).await);
    pause(OUTAGE).await;
    servers.queue.delete_all();
    servers.set_down(false);
    pause(OUTAGE).await;
    stored(process.run(2, Command::reserve("A1", "eve"), false).await);
    assert_eq!(process.handle.receipt_state(request_id(1)).await, Ok(ReceiptState::Unknown));
    process.stop().await;
}
