//! Random outages: each request ends with one outcome, and queued commands keep their order.

use std::{collections::HashMap, time::Duration};

use diptych_command::{CommandError, Executed, ExpectedOutcome, QueuedReceipt, ReceiptState};
use diptych_kernel::{
    Position,
    ports::EventStore,
    testing::{
        theatre::{Command, Refusal},
        with_seed,
    },
};
use diptych_runtime::pause;
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::harness::{Process, Servers, request_id};

const SEEDS: u64 = 60;
const CALLERS: u64 = 6;
const COMMANDS_PER_CALLER: u64 = 12;
const SEATS: [&str; 3] = ["A1", "B2", "C3"];

fn command(random: &mut SmallRng, guest: &str) -> Command {
    let first = random.random_range(0..SEATS.len());
    let second = (first + random.random_range(1..SEATS.len())) % SEATS.len();
    match random.random_range(0..3) {
        0 => Command::reserve(SEATS[first], guest),
        1 => Command::release(SEATS[first]),
        _ => Command::swap(SEATS[first], SEATS[second]),
    }
}

/// The requests of a caller, and the receipts of those that were queued.
type Told = (Vec<u128>, HashMap<u128, QueuedReceipt<Refusal>>);

async fn call(servers: &Servers, processes: &[Process], seed: u64, caller: u64) -> Told {
    let mut random = SmallRng::seed_from_u64(seed * CALLERS + caller);
    let (mut ids, mut queued) = (Vec::new(), HashMap::new());
    for number in 0..COMMANDS_PER_CALLER {
        let id = u128::from(caller * 1_000 + number + 1);
        let command = command(&mut random, &format!("guest-{id}"));
        loop {
            let process = &processes[random.random_range(0..processes.len())];
            let outcome = process.run(id, command.clone(), random.random_bool(0.7)).await;
            match outcome {
                Ok(Executed::Queued(receipt)) => {
                    // One whose answer was lost has its place already.
                    let known = servers.stored.load(&[], 0, &[request_id(id)]).await.unwrap().requests;
                    if known.is_empty() {
                        queued.insert(id, receipt);
                    }
                    break;
                }
                Err(
                    CommandError::Unavailable
                    | CommandError::OutcomeUnknown
                    | CommandError::StreamQueued { .. }
                    | CommandError::Contention { .. },
                ) => pause(Duration::from_millis(random.random_range(1..500))).await,
                _ => break,
            }
        }
        ids.push(id);
        pause(Duration::from_millis(random.random_range(0..400))).await;
    }
    (ids, queued)
}

async fn outages(servers: &Servers, seed: u64, loses_answers: bool) {
    let mut random = SmallRng::seed_from_u64(!seed);
    for _ in 0..4 {
        pause(Duration::from_millis(random.random_range(1..3_000))).await;
        if loses_answers && random.random_bool(0.5) {
            servers.store.lose_next_answer();
            pause(Duration::from_millis(random.random_range(0..3))).await;
        }
        servers.set_down(true);
        pause(Duration::from_millis(random.random_range(1..20_000))).await;
        servers.set_down(false);
    }
}

/// Numbers of commands.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    queued: usize,
    /// Those with an expected outcome.
    expected: usize,
    /// Those with another outcome than the expected one.
    wrong: usize,
}

async fn run(seed: u64, processes: usize) -> Counts {
    let servers = Servers::start();
    let processes: Vec<_> = ["one", "two"].into_iter().take(processes).map(|name| servers.process(name)).collect();
    let callers = join_all((0..CALLERS).map(|caller| call(&servers, &processes, seed, caller)));
    let (told, ()) = tokio::join!(callers, outages(&servers, seed, processes.len() > 1));
    servers.until_drained().await;
    pause(Duration::from_secs(5)).await;

    let (mut queued, mut counts) = (HashMap::new(), Counts::default());
    for (ids, of_caller) in told {
        for id in ids {
            let state = processes[0].handle.receipt_state(request_id(id)).await;
            assert!(
                matches!(state, Ok(ReceiptState::Committed(_)) | Err(CommandError::RefusedBefore(_))),
                "request {id} has no outcome: {state:?}"
            );
            let Some(QueuedReceipt { expected, .. }) = of_caller.get(&id) else { continue };
            counts.queued += 1;
            if let Some(expected) = expected {
                counts.expected += 1;
                counts.wrong += usize::from((*expected == ExpectedOutcome::Committed) != state.is_ok());
            }
        }
        queued.extend(of_caller);
    }
    let events = servers.stored.read_after(Position::START, 1_000_000).await.unwrap().events;
    let mut offset_of_stream = HashMap::new();
    for event in &events {
        // Each stream runs its queued commands in their order.
        let id = u128::from_be_bytes(*event.request_id.as_bytes());
        if let Some(QueuedReceipt { offset, .. }) = queued.get(&id) {
            let before = offset_of_stream.insert(event.stream_id.clone(), (*offset, id, event.recorded_at));
            assert!(
                before.is_none_or(|(before, ..)| before <= *offset),
                "request {id} at {offset:?} ran at {:?}, after {before:?}",
                event.recorded_at
            );
        }
    }
    for process in processes {
        process.stop().await;
    }
    counts
}

async fn run_all(processes: usize) -> Counts {
    let mut all = Counts::default();
    for seed in 0..SEEDS {
        let counts = with_seed(seed, run(seed, processes)).await;
        all.queued += counts.queued;
        all.expected += counts.expected;
        all.wrong += counts.wrong;
    }
    println!("{processes} processes: {all:?}");
    all
}

#[tokio::test(start_paused = true)]
async fn each_request_has_one_outcome_and_queued_ones_keep_their_order() {
    let all = run_all(2).await;
    assert!(all.queued > 500, "{all:?}: too few for this test");
}

#[tokio::test(start_paused = true)]
async fn expected_outcomes_are_right_where_no_other_process_writes() {
    let all = run_all(1).await;
    assert!(all.queued > 500 && all.expected * 2 > all.queued, "{all:?}: too few for this test");
    assert_eq!(all.wrong, 0, "{all:?}");
}
