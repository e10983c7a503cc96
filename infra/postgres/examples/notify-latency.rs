//! Measures the latency from an append to its read by another process, and the cost of notifications for appends.
//!
//! ```text
//! cargo run --release -p diptych-postgres --example notify-latency -- URL [SECONDS_PER_RUN]
//! ```
//!
//! One handle stores 1,000 events per second in batches like those of a sequencer, another waits and reads; latencies
//! are from the acknowledgement to the read. Then one handle appends as fast as it can, with and without notifications
//! in turns. The user must be allowed to create databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed measurement has no result")]

use std::{collections::HashMap, env, sync::Arc, time::Duration};

use diptych_kernel::{
    EventMetadata, Fingerprint, NewEvent, Partitions, Position, RequestId, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, EventStore},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore, migrate};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_postgres::NoTls;
use uuid::Uuid;

const EVENTS_PER_SECOND: u32 = 1_000;
const RUNS: usize = 5;
const BATCH_UNITS: usize = 16;
const DATABASE: &str = "diptych_notify_latency";

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut arguments = env::args().skip(1);
    let server = arguments.next().expect("the URL of a server");
    let run = Duration::from_secs_f64(arguments.next().map_or(5.0, |text| text.parse().expect("a number of seconds")));
    let (admin, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    #[allow(clippy::disallowed_methods, reason = "ends with its client")]
    tokio::spawn(connection);
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")).await.unwrap();
    admin.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
    let (host, _) = server.rsplit_once('/').expect("the URL names a database");
    measure(PostgresConfig::new(format!("{host}/{DATABASE}")), run).await;
    admin.batch_execute(&format!("DROP DATABASE {DATABASE} WITH (FORCE)")).await.unwrap();
}

async fn measure(config: PostgresConfig, run: Duration) {
    migrate(&config, Partitions::new(16).unwrap()).await.unwrap();
    println!("{EVENTS_PER_SECOND} events/s             p50 ms   p99 ms   max ms");
    for notify in [true, false] {
        let config = PostgresConfig { notify, ..config.clone() };
        let mut latencies = read_latencies(&config, run).await;
        latencies.sort_unstable();
        let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e3;
        let name = if notify { "with notifications" } else { "by polling" };
        println!("{name:<24} {:>8.2} {:>8.2} {:>8.2}", at(50), at(99), at(100));
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        with.push(appends_per_second(&config, run).await);
        without.push(appends_per_second(&PostgresConfig { notify: false, ..config.clone() }, run).await);
    }
    let [with, without] = [with, without].map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[RUNS / 2]
    });
    println!(
        "appends/s of {BATCH_UNITS} units: {with:.0} with notifications, {without:.0} without, ratio {:.2}",
        with / without
    );
}

/// The time from the acknowledgement of each event to its read by another handle.
async fn read_latencies(config: &PostgresConfig, run: Duration) -> Vec<Duration> {
    let writer = PostgresEventStore::open(config.clone()).await.unwrap();
    let reader = PostgresEventStore::open(config.clone()).await.unwrap();
    let acknowledged: Arc<Mutex<HashMap<Position, Instant>>> = Arc::default();
    let start = end_of(&reader).await;
    let started_at = Instant::now();
    let write = {
        let acknowledged = Arc::clone(&acknowledged);
        async move {
            let mut ticks = interval(Duration::from_millis(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut stored = 0;
            while started_at.elapsed() < run {
                ticks.tick().await;
                let due_until_now = started_at.elapsed().as_millis() * u128::from(EVENTS_PER_SECOND) / 1_000;
                let due = usize::try_from(due_until_now).unwrap() - stored;
                if due > 0 {
                    for position in append(&writer, due).await {
                        acknowledged.lock().insert(position, Instant::now());
                    }
                    stored += due;
                }
            }
        }
    };
    #[allow(clippy::disallowed_methods, reason = "awaited below")]
    let write = tokio::spawn(write);
    let (mut read, mut cursor) = (Vec::new(), start);
    while !write.is_finished() {
        reader.wait_for_events(cursor, Duration::from_millis(100)).await;
        let tail = reader.read_after(cursor, 1_000).await.unwrap();
        let now = Instant::now();
        read.extend(tail.events.iter().map(|event| (event.position, now)));
        cursor = tail.complete_up_to;
    }
    write.await.unwrap();
    let acknowledged = acknowledged.lock();
    let latency =
        |(position, at): &(Position, Instant)| Some(at.saturating_duration_since(*acknowledged.get(position)?));
    read.iter().filter_map(latency).collect()
}

async fn appends_per_second(config: &PostgresConfig, run: Duration) -> f64 {
    let handle = PostgresEventStore::open(config.clone()).await.unwrap();
    append(&handle, 1).await;
    let (started_at, mut appends) = (Instant::now(), 0_u32);
    while started_at.elapsed() < run {
        append(&handle, BATCH_UNITS).await;
        appends += 1;
    }
    f64::from(appends) / started_at.elapsed().as_secs_f64()
}

async fn end_of(handle: &PostgresEventStore) -> Position {
    let mut cursor = Position::START;
    loop {
        let tail = handle.read_after(cursor, 10_000).await.unwrap();
        cursor = tail.complete_up_to;
        if tail.events.is_empty() {
            return cursor;
        }
    }
}

/// Appends events of new streams, and returns their positions.
async fn append(handle: &PostgresEventStore, count: usize) -> Vec<Position> {
    let unit = || {
        let id = Uuid::new_v4();
        let event = NewEvent {
            stream_id: StreamId::new(&format!("account-{id}")).unwrap(),
            version: Version::new(1),
            event_type: "latency.event.v1.Opened".into(),
            payload: vec![0; 64].into(),
        };
        AppendUnit {
            request_id: RequestId::from_uuid(id),
            fingerprint: Fingerprint::from_bytes([0; 32]),
            events: vec![event],
            metadata: EventMetadata::default(),
        }
    };
    let units: Vec<AppendUnit> = std::iter::repeat_with(unit).take(count).collect();
    match handle.append(&units, &[]).await.unwrap() {
        AppendOutcome::Committed(receipts) => receipts.iter().map(|receipt| receipt.streams[0].position).collect(),
        rejected => panic!("the append was rejected without another writer: {rejected:?}"),
    }
}
