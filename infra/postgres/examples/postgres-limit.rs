//! Compares the write path with its limit: `append` of this crate, and a plain batched INSERT of the same rows into the
//! same tables with the same indexes, which checks no versions and no request ids.
//!
//! ```text
//! cargo run --release -p diptych-postgres --example postgres-limit -- URL [SECONDS_PER_RUN]
//! ```
//!
//! URL is that of a server, such as `postgres://postgres@127.0.0.1:5432/postgres`. The user must be allowed to create
//! databases: two are created and dropped. Runs alternate, so that other load on the machine affects both; the output
//! has a row for each batch size, with the median of the runs. Exits with an error if a ratio is below 0.4.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed measurement has no result")]

use std::{env, process::ExitCode, time::Duration};

use diptych_kernel::{
    EventMetadata, Fingerprint, NewEvent, Partitions, RequestId, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, EventStore},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore, migrate};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::Instant;
use tokio_postgres::{
    Client, NoTls, Statement,
    types::{IsNull, ToSql, Type, accepts, to_sql_checked},
};
use uuid::Uuid;

const BATCH_UNITS: [usize; 4] = [1, 16, 128, 1_024];
const RUNS: usize = 5;
const STREAMS: usize = 20_000;
const PAYLOAD_BYTES: usize = 64;
const RATIO_MIN: f64 = 0.4;
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The rows of a batch, without the columns that the server fills in.
const BARE_INSERT: &str = "
    WITH stored_requests AS (
        INSERT INTO requests (request_id, recorded_at, position, events_count, partition_number, fingerprint)
        SELECT id, now(), $1::bigint + ordinal, 1, 1, fingerprint
        FROM unnest($2::uuid[], $3::bytea[], $4::integer[]) AS request (id, fingerprint, ordinal)
    )
    INSERT INTO events (
        position, recorded_at, version, request_id, partition, stream_id, event_type, payload, traceparent
    )
    SELECT $1::bigint + ordinal, now(), version, request_id, partition, stream_id, event_type, payload, traceparent
    FROM unnest(
        $4::integer[], $5::text[], $6::bigint[], $7::smallint[], $8::text[], $9::bytea[], $2::uuid[], $10::text[]
    ) AS event (ordinal, stream_id, version, partition, event_type, payload, request_id, traceparent)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let server = arguments.next().expect("the URL of a server");
    let seconds = arguments.next().map_or(2.0, |text| text.parse().expect("a number of seconds"));
    let admin = connect(&server).await;
    let names = ["diptych_limit_bare", "diptych_limit_append"];
    for name in names {
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    }
    let [bare_url, append_url] = names.map(|name| in_database(&server, name));
    let lines = measure(&bare_url, &append_url, Duration::from_secs_f64(seconds)).await;
    for name in names {
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    }
    report(&lines)
}

/// The result for one batch size.
struct BatchSizeResult {
    units: usize,
    bare_rows_per_second: f64,
    append_events_per_second: f64,
    ratio: f64,
}

async fn measure(bare_url: &str, append_url: &str, run: Duration) -> Vec<BatchSizeResult> {
    let partitions = Partitions::new(16).unwrap();
    for url in [bare_url, append_url] {
        migrate(&PostgresConfig::new(url), partitions).await.unwrap();
    }
    let store = PostgresEventStore::open(PostgresConfig::new(append_url)).await.unwrap();
    let (mut bare, mut append) = (Bare::new(bare_url, partitions).await, Append::new(store));
    let mut lines = Vec::new();
    for units in BATCH_UNITS {
        let (mut bare_rates, mut append_rates) = (Vec::new(), Vec::new());
        // The first run of each warms up caches.
        for number in 0..=RUNS {
            let rates = (bare.run(units, run).await, append.run(units, run).await);
            if number > 0 {
                bare_rates.push(rates.0);
                append_rates.push(rates.1);
            }
        }
        let ratio = median(append_rates.iter().zip(&bare_rates).map(|(append, bare)| append / bare).collect());
        let (bare_rows_per_second, append_events_per_second) = (median(bare_rates), median(append_rates));
        lines.push(BatchSizeResult { units, bare_rows_per_second, append_events_per_second, ratio });
    }
    lines
}

fn report(lines: &[BatchSizeResult]) -> ExitCode {
    println!("units per batch   bare rows/s   append events/s   ratio");
    for line in lines {
        println!(
            "{:>15} {:>13.0} {:>17.0} {:>7.2}",
            line.units, line.bare_rows_per_second, line.append_events_per_second, line.ratio
        );
    }
    let json = lines.iter().map(|line| {
        format!(
            r#"{{"units":{},"bare_rows_per_second":{:.0},"append_events_per_second":{:.0},"ratio":{:.3}}}"#,
            line.units, line.bare_rows_per_second, line.append_events_per_second, line.ratio
        )
    });
    println!("[{}]", json.collect::<Vec<_>>().join(","));
    if lines.iter().all(|line| line.ratio >= RATIO_MIN) {
        return ExitCode::SUCCESS;
    }
    eprintln!("a ratio is below {RATIO_MIN}");
    ExitCode::FAILURE
}

/// Generates the same batches for both.
struct Workload {
    rng: SmallRng,
    versions: Vec<u32>,
}

impl Workload {
    fn new() -> Self {
        Self { rng: SmallRng::seed_from_u64(1), versions: vec![0; STREAMS] }
    }

    fn batch(&mut self, units: usize) -> Vec<AppendUnit> {
        (0..units).map(|_| self.unit()).collect()
    }

    fn unit(&mut self) -> AppendUnit {
        let stream = self.rng.random_range(0..STREAMS);
        self.versions[stream] += 1;
        let mut payload = [0_u8; PAYLOAD_BYTES];
        self.rng.fill(&mut payload);
        let event = NewEvent {
            stream_id: StreamId::new(&format!("account-{stream:08}")).unwrap(),
            version: Version::new(self.versions[stream]),
            event_type: "limit.event.v1.Deposited".into(),
            payload: payload.to_vec().into(),
        };
        AppendUnit {
            request_id: RequestId::from_uuid(Uuid::from_u128(self.rng.random())),
            fingerprint: Fingerprint::from_bytes(self.rng.random()),
            events: vec![event],
            metadata: EventMetadata { traceparent: Some(TRACEPARENT.into()) },
        }
    }
}

struct Append {
    store: PostgresEventStore,
    workload: Workload,
}

impl Append {
    fn new(store: PostgresEventStore) -> Self {
        Self { store, workload: Workload::new() }
    }

    async fn run(&mut self, units: usize, run: Duration) -> f64 {
        let mut meter = Meter::start();
        while meter.spent() < run {
            let batch = self.workload.batch(units);
            let started = Instant::now();
            let outcome = self.store.append(&batch, &[]).await.unwrap();
            meter.count(units, started);
            assert!(matches!(outcome, AppendOutcome::Committed(_)), "the append was rejected without another writer");
        }
        meter.rate()
    }
}

struct Bare {
    client: Client,
    statement: Statement,
    partitions: Partitions,
    workload: Workload,
    next_transaction: i64,
}

impl Bare {
    async fn new(url: &str, partitions: Partitions) -> Self {
        let client = connect(url).await;
        client.batch_execute("SET diptych.keeps_streams = on").await.unwrap();
        let statement = client.prepare(BARE_INSERT).await.unwrap();
        Self { client, statement, partitions, workload: Workload::new(), next_transaction: 1 }
    }

    async fn run(&mut self, units: usize, run: Duration) -> f64 {
        let mut meter = Meter::start();
        while meter.spent() < run {
            let batch = self.workload.batch(units);
            let started = Instant::now();
            self.insert(&batch).await;
            meter.count(units, started);
        }
        meter.rate()
    }

    async fn insert(&mut self, batch: &[AppendUnit]) {
        let position = self.next_transaction << 20;
        self.next_transaction += 1;
        let events: Vec<&NewEvent> = batch.iter().map(|unit| &unit.events[0]).collect();
        let ids: Vec<Id> = batch.iter().map(|unit| Id(*unit.request_id.as_bytes())).collect();
        let fingerprints: Vec<&[u8]> = batch.iter().map(|unit| &unit.fingerprint.as_bytes()[..]).collect();
        let ordinals: Vec<i32> = (0..).take(batch.len()).collect();
        let streams: Vec<&str> = events.iter().map(|event| event.stream_id.as_str()).collect();
        let versions: Vec<i64> = events.iter().map(|event| i64::from(event.version.number())).collect();
        let partition = |event: &&NewEvent| i16::try_from(self.partitions.of(&event.stream_id).number()).unwrap();
        let partitions: Vec<i16> = events.iter().map(partition).collect();
        let types: Vec<&str> = events.iter().map(|event| &*event.event_type).collect();
        let payloads: Vec<&[u8]> = events.iter().map(|event| &*event.payload).collect();
        let traceparents: Vec<Option<&str>> = batch.iter().map(|unit| unit.metadata.traceparent.as_deref()).collect();
        let params: [&(dyn ToSql + Sync); 10] = [
            &position,
            &ids,
            &fingerprints,
            &ordinals,
            &streams,
            &versions,
            &partitions,
            &types,
            &payloads,
            &traceparents,
        ];
        self.client.execute(&self.statement, &params).await.unwrap();
    }
}

/// Measures stored rows and the time spent by server and driver, without the generation of batches.
struct Meter {
    started_at: Instant,
    busy: Duration,
    rows: f64,
}

impl Meter {
    fn start() -> Self {
        Self { started_at: Instant::now(), busy: Duration::ZERO, rows: 0.0 }
    }

    fn spent(&self) -> Duration {
        self.started_at.elapsed()
    }

    fn count(&mut self, rows: usize, started: Instant) {
        self.busy += started.elapsed();
        self.rows += f64::from(u32::try_from(rows).unwrap());
    }

    fn rate(&self) -> f64 {
        self.rows / self.busy.as_secs_f64()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A request id as a parameter of the driver.
#[derive(Debug)]
struct Id([u8; 16]);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    #[allow(clippy::disallowed_methods, reason = "ends with its client")]
    tokio::spawn(connection);
    client
}

fn in_database(server: &str, name: &str) -> String {
    let (server, parameters) = server.split_once('?').map_or((server, String::new()), |(s, p)| (s, format!("?{p}")));
    let (host, _) = server.rsplit_once('/').expect("the URL names a database");
    format!("{host}/{name}{parameters}")
}
