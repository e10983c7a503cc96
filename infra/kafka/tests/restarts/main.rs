//! Restarts of a real broker under load: every acknowledged record is on the log, in order. The test starts its own
//! Kafka; it restarts it twice, or as often as `DIPTYCH_FAULT_ROUNDS` says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the test")]

#[allow(dead_code, reason = "other test binaries use the rest")]
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/writer.rs"]
mod writer;

use std::{collections::HashSet, env, time::Duration};

use diptych_kernel::ports::{EventLog, LogEntry};
use diptych_stack::{Server, Stack, StackConfig, Tools};
use tokio::{sync::watch, time::timeout};
use writer::Writer;

const RESTARTS_DEFAULT: usize = 2;
/// Batches that are acknowledged between two restarts.
const BATCHES_PER_RESTART: usize = 30;
const EVENTS_PER_BATCH: i64 = 200;
/// Time limit of the wait for the next batches, after a restart.
const PROGRESS_MAX: Duration = Duration::from_secs(120);

/// Starts a Kafka. If it is not installed, prints that and returns `None`; in CI it fails.
async fn start_kafka() -> Option<Stack> {
    let config = StackConfig::for_test([Server::Kafka]).unwrap();
    if let Err(missing) = Tools::at(&config.paths).check(Server::Kafka.package()) {
        assert!(env::var_os("CI").is_none_or(|value| value.is_empty()), "{missing}");
        println!("skipped: {missing}");
        return None;
    }
    Some(Stack::start(config).await.unwrap())
}

/// Appends batches until `stop` is set. Tells the number of acknowledged batches.
async fn write_until(writer: &mut Writer, batches: &watch::Sender<usize>, stop: &watch::Receiver<bool>) {
    let mut next = 1;
    while !*stop.borrow() {
        let partition = |number: i64| u16::try_from(number % i64::from(harness::PARTITIONS)).unwrap();
        let events = (next..next + EVENTS_PER_BATCH).map(|number| harness::event(partition(number), number)).collect();
        next += EVENTS_PER_BATCH;
        writer.write(events).await;
        batches.send_modify(|batches| *batches += 1);
    }
}

/// Waits until so many more batches are acknowledged.
async fn wait_for_batches(batches: &mut watch::Receiver<usize>, count: usize) {
    let target = *batches.borrow() + count;
    let waited = timeout(PROGRESS_MAX, batches.wait_for(|batches| *batches >= target)).await;
    waited.expect("appends go on after a restart").unwrap();
}

/// Returns the entries without repeats.
fn first_occurrences(entries: Vec<LogEntry>) -> Vec<LogEntry> {
    let mut seen = HashSet::new();
    entries.into_iter().filter(|entry| seen.insert(harness::position_of(entry))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_record_survives_restarts_of_the_broker_under_load() {
    let Some(stack) = start_kafka().await else { return };
    let restarts = env::var("DIPTYCH_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(RESTARTS_DEFAULT);
    let mut config = harness::config(&stack.address(Server::Kafka).unwrap());
    // Several requests of each batch are in flight at a time.
    config.extra.insert("batch.num.messages".into(), "10".into());
    config.append_wait_max = Duration::from_secs(5);
    let log = harness::open(&config).await;
    log.ends().await.unwrap();

    let mut writer = Writer::new(&log);
    let (batches, mut acknowledged_batches) = watch::channel(0);
    let (stop, is_stopped) = watch::channel(false);
    let restart = async {
        for number in 0..restarts {
            wait_for_batches(&mut acknowledged_batches, BATCHES_PER_RESTART).await;
            if number % 2 == 0 {
                stack.kill("kafka").await.unwrap();
                stack.start_process("kafka").await.unwrap();
            } else {
                stack.restart("kafka").await.unwrap();
            }
        }
        wait_for_batches(&mut acknowledged_batches, BATCHES_PER_RESTART).await;
        stop.send_replace(true);
    };
    tokio::join!(write_until(&mut writer, &batches, &is_stopped), restart);

    let Writer { acknowledged, failures, .. } = writer;
    println!("{restarts} restarts, {failures} failed appends, {} acknowledged records", acknowledged.len());
    for (partition, entries) in harness::read_all(&log).await.into_iter().enumerate() {
        let acknowledged: Vec<_> =
            acknowledged.iter().filter(|entry| entry.partition().index() == partition).cloned().collect();
        assert!(
            first_occurrences(entries) == acknowledged,
            "partition {partition} lacks records, or has them out of order"
        );
    }
    stack.stop().await.unwrap();
}
