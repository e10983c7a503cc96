//! Queued commands keep their order, also against commands that are not queued, other processes, and crashes.

use std::time::Duration;

use diptych_command::{CommandError, QueueingConfig, ReceiptState};
use diptych_kernel::testing::theatre::{Command, Event, seat};
use diptych_runtime::pause;

use crate::harness::{Servers, queued, request_id, stored};

/// Commands on one seat, each of which is refused unless all before it have run.
fn visits(commands: u32) -> impl Iterator<Item = Command> {
    (0..commands).map(|number| match number % 2 {
        0 => Command::reserve("A1", &number.to_string()),
        _ => Command::release("A1"),
    })
}

fn events_of_visits(commands: u32) -> Vec<Event> {
    let guests = (0..commands).step_by(2).map(|number| number.to_string());
    guests.flat_map(|guest| [Event::reserved(&guest), Event::released(&guest)]).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_overtakes_a_queued_command_on_its_streams() {
    let servers = Servers::start();
    let slow = QueueingConfig { drain_commands_per_second_max: 1, ..QueueingConfig::new("one") };
    let process = servers.process_with(slow);
    servers.set_down(true);
    queued(process.run(1, Command::reserve("A1", "ada"), true).await);
    // Stops the drain after the first command, as one command a second is too slow for the rest.
    servers.queue.set_down(true);
    servers.set_down(false);
    pause(Duration::from_secs(3)).await;
    let refused = process.run(2, Command::release("A1"), false).await;
    assert_eq!(refused, Err(CommandError::StreamQueued { stream_id: seat("A1") }));
    stored(process.run(3, Command::reserve("C3", "tom"), false).await);
    servers.queue.set_down(false);
    servers.until_drained().await;
    pause(Duration::from_secs(2)).await;
    stored(process.run(2, Command::release("A1"), false).await);
    assert_eq!(servers.history("A1").await, [Event::reserved("ada"), Event::released("ada")]);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn commands_of_one_caller_are_queued_in_the_order_in_which_they_were_sent() {
    let servers = Servers::start();
    let process = servers.process("one");
    servers.set_down(true);
    // All of them wait for the write database when the breaker opens.
    let offsets = process.queue_all(visits(40)).await;
    assert!(offsets.is_sorted(), "{offsets:?}");
    servers.set_down(false);
    servers.until_drained().await;
    assert_eq!(servers.history("A1").await, events_of_visits(40));
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_process_knows_what_is_queued_and_executes_it() {
    let servers = Servers::start();
    let (one, two) = (servers.process("one"), servers.process("two"));
    stored(two.run(1, Command::reserve("A1", "ada"), true).await);
    servers.set_down(true);
    let first = queued(one.run(2, Command::release("A1"), true).await);
    two.handle.wait_until_queue_read(first.offset).await;
    let second = queued(two.run(3, Command::reserve("A1", "eve"), true).await);
    assert!(second.offset > first.offset);
    assert_eq!(second.expected, None, "this process did not decide the first");
    assert_eq!(two.handle.receipt_state(request_id(2)).await, Ok(ReceiptState::Queued(first.offset)));
    one.stop().await;
    servers.store.expire_lease();
    servers.set_down(false);
    servers.until_drained().await;
    let expected = [Event::reserved("ada"), Event::released("ada"), Event::reserved("eve")];
    assert_eq!(servers.history("A1").await, expected);
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_outage_in_the_drain_reorders_and_repeats_nothing() {
    let servers = Servers::start();
    let process = servers.process("one");
    servers.set_down(true);
    let offsets = process.queue_all(visits(400)).await;
    assert!(offsets.is_sorted(), "{offsets:?}");
    for _ in 0..5 {
        servers.set_down(false);
        servers.store.lose_next_answer();
        pause(Duration::from_millis(3)).await;
        servers.set_down(true);
        pause(Duration::from_secs(15)).await;
    }
    servers.set_down(false);
    servers.until_drained().await;
    let (history, expected) = (servers.history("A1").await, events_of_visits(400));
    let first_difference = history.iter().zip(&expected).position(|(event, expected)| event != expected);
    assert_eq!((first_difference, history.len()), (None, expected.len()));
    process.stop().await;
}
