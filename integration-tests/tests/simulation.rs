//! Deterministic simulation of the whole pipeline, with crashes and injected faults.
//!
//! Its domain, a theatre, is another one than that of the product, so these tests also show that no component depends
//! on a domain.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic fails the test")]

use std::{ops::Range, time::Duration};

use diptych_integration_tests::{
    callers, checks,
    cluster::{ClusterStores, SimulatedProcess},
    command_history::{CommandAnswer, CommandHistory},
    fault_plan::FaultPlan,
};
use diptych_kernel::{
    domain::RowKey,
    testing::{
        faulty::FaultInjector,
        seeds,
        theatre::{SEATS, SeatRow, Theatre},
        with_seed,
    },
};
use diptych_query::QueryError;
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

/// Commands that callers send in one life of a process.
const COMMANDS_PER_LIFE: usize = 24;

const SEEDS_DEFAULT: u64 = 200;

/// About a tenth of the seeds, for tests that take longer.
fn few_seeds() -> Range<u64> {
    let Range { start, end } = seeds(SEEDS_DEFAULT);
    start..start + (end - start) / 10 + 1
}

/// A runtime with one thread, whose time advances only when every task waits.
fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Sends a few commands at a time, until all are sent or the process has crashed.
async fn send_commands(process: &SimulatedProcess<Theatre>, rng: &mut SmallRng, history: &mut CommandHistory) {
    let mut remaining = COMMANDS_PER_LIFE;
    while remaining > 0 && !process.faults.has_crashed() {
        let count = rng.random_range(1..=5).min(remaining);
        remaining -= count;
        let sent: Vec<_> = (0..count).map(|_| callers::random_command(rng)).collect();
        let answers = join_all(sent.iter().map(|sent| callers::send_until_answered(process, sent))).await;
        for (sent, answer) in sent.into_iter().zip(answers) {
            history.record(sent, answer);
        }
    }
}

/// Sends the commands without an answer again, to the next process.
async fn retry_unanswered(process: &SimulatedProcess<Theatre>, history: &mut CommandHistory) {
    for sent in history.unanswered() {
        let answer = callers::send_until_answered(process, &sent).await;
        history.update(sent.request_id, &answer);
    }
}

async fn run_several_lives(seed: u64) -> u64 {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut stores = ClusterStores::new();
    let mut history = CommandHistory::default();
    let mut faults_count = 0;
    for life in 0..3 {
        let faults = FaultPlan::random(&mut rng).injector(seed.wrapping_mul(31).wrapping_add(life));
        let process = SimulatedProcess::<Theatre>::start(&stores, "first", faults);
        retry_unanswered(&process, &mut history).await;
        send_commands(&process, &mut rng, &mut history).await;
        faults_count += process.faults.faults_count();
        process.crash().await;
        if rng.random_bool(0.5) {
            stores = stores.with_cold_cache();
        }
    }
    let process = SimulatedProcess::<Theatre>::start(&stores, "first", FaultInjector::crash_only(seed));
    retry_unanswered(&process, &mut history).await;
    checks::receipts(&stores, &history).await;
    checks::events(&stores, &history).await;
    checks::own_writes(&process, &history).await;
    checks::views(&stores).await;
    process.stop().await;
    faults_count
}

#[test]
fn commands_are_stored_and_projected_once_despite_crashes_and_faulty_stores() {
    let mut faults_count = 0;
    for seed in seeds(SEEDS_DEFAULT) {
        faults_count += paused_runtime().block_on(with_seed(seed, run_several_lives(seed)));
    }
    assert!(faults_count > 0, "no fault was injected, so nothing was tested");
}

#[test]
fn two_processes_share_partitions_and_read_each_others_writes() {
    for seed in few_seeds() {
        paused_runtime().block_on(with_seed(seed, async {
            let mut rng = SmallRng::seed_from_u64(seed);
            let stores = ClusterStores::new();
            let first = SimulatedProcess::<Theatre>::start(&stores, "first", FaultInjector::new(seed, 0.05));
            let second = SimulatedProcess::<Theatre>::start(&stores, "second", FaultInjector::new(seed + 1, 0.05));
            let mut history = CommandHistory::default();
            for _ in 0..20 {
                let sent = [callers::random_command(&mut rng), callers::random_command(&mut rng)];
                let answers = tokio::join!(
                    callers::send_until_answered(&first, &sent[0]),
                    callers::send_until_answered(&second, &sent[1])
                );
                for (sent, answer) in sent.into_iter().zip([answers.0, answers.1]) {
                    assert_ne!(answer, CommandAnswer::Missing);
                    history.record(sent, answer);
                }
            }
            first.crash().await;
            second.faults.disable();
            checks::receipts(&stores, &history).await;
            checks::events(&stores, &history).await;
            // Each process has its own cached rows, so an answer is only guaranteed to be as fresh as its token.
            checks::own_writes(&second, &history).await;
            checks::views(&stores).await;
            second.stop().await;
        }));
    }
}

#[test]
fn no_answer_is_older_than_its_token_while_the_stores_are_faulty() {
    let (mut fresh, mut refused) = (0, 0);
    for seed in few_seeds() {
        paused_runtime().block_on(with_seed(seed, async {
            let mut rng = SmallRng::seed_from_u64(seed);
            let stores = ClusterStores::new();
            let process = SimulatedProcess::<Theatre>::start(&stores, "first", FaultInjector::new(seed, 0.4));
            for _ in 0..20 {
                let sent = callers::random_command(&mut rng);
                let CommandAnswer::Stored(receipt) = callers::send_until_answered(&process, &sent).await else {
                    continue;
                };
                for stream in &receipt.streams {
                    let deadline = Instant::now() + Duration::from_millis(rng.random_range(1..200));
                    let key = RowKey::single(stream.stream_id.as_str());
                    match process.reader.get(SEATS, &stream.stream_id, key, &receipt.token(), deadline).await {
                        Ok(answer) => {
                            let row = SeatRow::decode(&answer.value.unwrap()).unwrap();
                            assert!(row.version >= stream.version, "an answer is older than its token");
                            fresh += 1;
                        }
                        Err(QueryError::Behind { .. } | QueryError::Unavailable) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            process.crash().await;
        }));
    }
    assert!(fresh > 0 && refused > 0, "both must occur: {fresh} fresh answers, {refused} refusals");
}
