//! The whole pipeline with a domain of another kind than the one that ships: nothing between the faces knows what a domain is about.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report of a test")]

use std::{ops::Range, time::Duration};

use diptych_integration_tests::{
    cluster::{Process, Site},
    faults::Fault,
    model::{Knowledge, Told},
    traffic, validate,
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

/// How many commands callers send in one life of a process.
const COMMANDS_PER_LIFE: usize = 24;

const SEEDS_DEFAULT: u64 = 200;

/// About a tenth of the seeds, for tests that take longer.
fn few_seeds() -> Range<u64> {
    let Range { start, end } = seeds(SEEDS_DEFAULT);
    start..start + (end - start) / 10 + 1
}

/// One thread, and time that goes on when nobody has anything to do.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Callers who send a few commands at a time, until all are sent or the process is dead.
async fn busy(process: &Process<Theatre>, dice: &mut SmallRng, knowledge: &mut Knowledge) {
    let mut left = COMMANDS_PER_LIFE;
    while left > 0 && !process.faults.has_crashed() {
        let together = dice.random_range(1..=5).min(left);
        left -= together;
        let asked: Vec<_> = (0..together).map(|_| traffic::draw(dice)).collect();
        let told = join_all(asked.iter().map(|asked| traffic::ask(process, asked))).await;
        for (asked, told) in asked.into_iter().zip(told) {
            knowledge.note(asked, told);
        }
    }
}

/// Callers who were left without an answer ask the next process.
async fn settle(process: &Process<Theatre>, knowledge: &mut Knowledge) {
    for asked in knowledge.open() {
        let told = traffic::ask(process, &asked).await;
        knowledge.settle(asked.request_id, &told);
    }
}

async fn lives(seed: u64) -> u64 {
    let mut dice = SmallRng::seed_from_u64(seed);
    let mut site = Site::new();
    let mut knowledge = Knowledge::default();
    let mut lies = 0;
    for life in 0..3 {
        let faults = Fault::draw(&mut dice).faults(seed.wrapping_mul(31).wrapping_add(life));
        let process = Process::<Theatre>::start(&site, "first", faults);
        settle(&process, &mut knowledge).await;
        busy(&process, &mut dice, &mut knowledge).await;
        lies += process.faults.faults_count();
        process.die().await;
        if dice.random_bool(0.5) {
            site = site.with_cold_cache();
        }
    }
    let process = Process::<Theatre>::start(&site, "first", FaultInjector::crash_only(seed));
    settle(&process, &mut knowledge).await;
    validate::receipts(&site, &knowledge).await;
    validate::events(&site, &knowledge).await;
    validate::own_writes(&process, &knowledge).await;
    validate::views(&site).await;
    process.stop().await;
    lies
}

#[test]
fn nothing_is_lost_or_doubled_through_crashes_and_lying_stores() {
    let mut lies = 0;
    for seed in seeds(SEEDS_DEFAULT) {
        lies += paused().block_on(with_seed(seed, lives(seed)));
    }
    assert!(lies > 0, "nobody lied, so nothing was tested");
}

#[test]
fn two_processes_share_the_work_and_each_other_s_writes() {
    for seed in few_seeds() {
        paused().block_on(with_seed(seed, async {
            let mut dice = SmallRng::seed_from_u64(seed);
            let site = Site::new();
            let first = Process::<Theatre>::start(&site, "first", FaultInjector::new(seed, 0.05));
            let second = Process::<Theatre>::start(&site, "second", FaultInjector::new(seed + 1, 0.05));
            let mut knowledge = Knowledge::default();
            for _ in 0..20 {
                let asked = [traffic::draw(&mut dice), traffic::draw(&mut dice)];
                let told = tokio::join!(traffic::ask(&first, &asked[0]), traffic::ask(&second, &asked[1]));
                for (asked, told) in asked.into_iter().zip([told.0, told.1]) {
                    assert_ne!(told, Told::Nothing);
                    knowledge.note(asked, told);
                }
            }
            first.die().await;
            second.faults.disable();
            validate::receipts(&site, &knowledge).await;
            validate::events(&site, &knowledge).await;
            // The cache of a process is its own, so its answers are only as fresh as asked for: which is what the token is for.
            validate::own_writes(&second, &knowledge).await;
            validate::views(&site).await;
            second.stop().await;
        }));
    }
}

#[test]
fn no_answer_is_older_than_its_token_while_the_stores_limp() {
    let (mut fresh, mut refused) = (0, 0);
    for seed in few_seeds() {
        paused().block_on(with_seed(seed, async {
            let mut dice = SmallRng::seed_from_u64(seed);
            let site = Site::new();
            let process = Process::<Theatre>::start(&site, "first", FaultInjector::new(seed, 0.4));
            for _ in 0..20 {
                let asked = traffic::draw(&mut dice);
                let Told::Stored(receipt) = traffic::ask(&process, &asked).await else { continue };
                for stream in &receipt.streams {
                    let deadline = Instant::now() + Duration::from_millis(dice.random_range(1..200));
                    let key = RowKey::single(stream.stream_id.as_str());
                    match process.reader.get(SEATS, &stream.stream_id, key, &receipt.token(), deadline).await {
                        Ok(answer) => {
                            let row = SeatRow::decode(&answer.value.unwrap()).unwrap();
                            assert!(row.version >= stream.version, "an older answer was given as fresh");
                            fresh += 1;
                        }
                        Err(QueryError::Behind { .. } | QueryError::Unavailable) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            process.die().await;
        }));
    }
    assert!(fresh > 0 && refused > 0, "{fresh} fresh answers and {refused} refusals: too few to tell");
}
