//! Measures how appends, the reads of the relay and the size of the tables change as the table of events grows.
//!
//! ```text
//! cargo run --release -p diptych-postgres --example events-growth -- URL [ROWS...]
//! ```
//!
//! URL is that of a server, such as `postgres://postgres@127.0.0.1:5432/postgres`. The user must be allowed to create
//! databases: one is created and dropped for each number of rows (default: 10000 1000000 10000000; at least 10000). The
//! rows are inserted by the server, ten per stream; then batches of events are appended to 1,000 of the streams, chosen
//! at random, and all events are read in pages. Rounds alternate between the databases, so that other load on the
//! machine affects all. The same is then measured with a segment that has just begun.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed measurement has no result")]

use std::{env, time::Duration};

use diptych_kernel::{
    EventMetadata, Fingerprint, NewEvent, Partitions, Position, RequestId, StreamId, Version,
    ports::{AppendOutcome, AppendUnit, EventStore},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore, migrate};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

const EVENTS_PER_STREAM: u64 = 10;
const ACTIVE_STREAMS: usize = 1_000;
const BATCH_UNITS: usize = 256;
const PAGE_EVENTS: usize = 1_000;
const PAYLOAD_BYTES: usize = 64;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(2);
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Inserts $1 events, ten per stream, 100 per transaction, as a database holds them that was used for a while.
const FILL_EVENTS: &str = "
    INSERT INTO events (
        position, recorded_at, version, request_id, partition, stream_id, event_type, payload, traceparent
    )
    SELECT
        (row / 100 + 1) << 20 | row % 100, now(), row / streams + 1, gen_random_uuid(), stream % 16,
        'account-' || lpad(stream::text, 8, '0'), 'growth.event.v1.Deposited',
        sha512(int8send(row)), '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    FROM (SELECT row, streams, row % streams * 7919 % streams AS stream
        FROM generate_series(0, $1::bigint - 1) AS row CROSS JOIN (SELECT $1::bigint / 10 AS streams) AS counts
    ) AS rows";
const FILL_STREAMS: &str = "
    INSERT INTO streams (stream_id, version, version_before)
    SELECT stream_id, max(version), max(version) - 1 FROM events GROUP BY stream_id";
const SIZES: &str = "
    SELECT name, sum(pg_table_size(relid))::bigint, sum(pg_indexes_size(relid))::bigint
    FROM (VALUES ('events'), ('streams')) AS names (name)
    CROSS JOIN LATERAL (
        SELECT relid FROM pg_partition_tree(to_regclass(name)) WHERE isleaf UNION SELECT to_regclass(name)
    ) AS leaves GROUP BY name";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = env::args().skip(1);
    let server = arguments.next().expect("the URL of a server");
    let mut sizes: Vec<u64> = arguments.map(|text| text.parse().expect("a number of rows")).collect();
    if sizes.is_empty() {
        sizes = vec![10_000, 1_000_000, 10_000_000];
    }
    let admin = connect(&server).await;
    let mut measured = Vec::new();
    for rows in sizes {
        measured.push(Measured::new(&admin, &server, rows).await);
    }
    println!("appends to the segment of the rows:");
    measure(&mut measured).await;
    for database in &mut measured {
        database.begin_segment(&server).await;
    }
    println!("appends to the next segment:");
    measure(&mut measured).await;
    for database in measured {
        let name = database.name.clone();
        drop(database);
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
    }
}

async fn measure(databases: &mut [Measured]) {
    for _ in 0..ROUNDS {
        for database in &mut *databases {
            database.round().await;
        }
    }
    println!("rows        append events/s   relay events/s");
    for database in databases {
        let (append, relay) = (median(&database.append_rates), median(&database.relay_rates));
        println!("{:<10} {append:>16.0} {relay:>16.0}", database.rows);
        database.append_rates.clear();
        database.relay_rates.clear();
    }
}

/// A database with a number of events, and the rates that were measured on it.
struct Measured {
    name: String,
    rows: u64,
    store: PostgresEventStore,
    rng: SmallRng,
    versions: Vec<u32>,
    cursor: Position,
    append_rates: Vec<f64>,
    relay_rates: Vec<f64>,
}

impl Measured {
    async fn new(admin: &Client, server: &str, rows: u64) -> Self {
        let name = format!("diptych_growth_{rows}");
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let config = PostgresConfig::new(in_database(server, &name));
        migrate(&config, Partitions::new(16).unwrap()).await.unwrap();
        let client = connect(&config.url).await;
        client.batch_execute("SET diptych.keeps_streams = on").await.unwrap();
        let started = Instant::now();
        let count = i64::try_from(rows).unwrap();
        client.execute("UPDATE installation SET position_base = $1", &[&(count / 100 + 10)]).await.unwrap();
        // Its entries are in random order: building it afterwards takes a tenth of the time.
        client.batch_execute("DROP INDEX events_1_by_stream").await.unwrap();
        client.execute(FILL_EVENTS, &[&count]).await.unwrap();
        client.batch_execute("CREATE UNIQUE INDEX events_1_by_stream ON events_1 (stream_id, version)").await.unwrap();
        client.execute(FILL_STREAMS, &[]).await.unwrap();
        for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
            client.batch_execute(statement).await.unwrap();
        }
        println!("{rows} rows inserted in {:.1} s", started.elapsed().as_secs_f64());
        for row in client.query(SIZES, &[]).await.unwrap() {
            let bytes_per_event = |column| row.get::<_, i64>(column) / count;
            let (name, table, indexes) = (row.get::<_, &str>(0), bytes_per_event(1), bytes_per_event(2));
            println!("  {name}: {table} bytes of table and {indexes} bytes of indexes per event");
        }
        let versions =
            vec![u32::try_from(EVENTS_PER_STREAM).unwrap(); usize::try_from(rows / EVENTS_PER_STREAM).unwrap()];
        Self {
            name,
            rows,
            store: PostgresEventStore::open(config).await.unwrap(),
            rng: SmallRng::seed_from_u64(1),
            versions,
            cursor: Position::START,
            append_rates: Vec::new(),
            relay_rates: Vec::new(),
        }
    }

    async fn begin_segment(&self, server: &str) {
        let client = connect(&in_database(server, &self.name)).await;
        let begin = "SELECT prepare_event_segments(2), begin_event_segment(1)";
        client.batch_execute(begin).await.unwrap();
    }

    async fn round(&mut self) {
        let mut meter = Meter::default();
        while meter.busy < ROUND {
            let batch: Vec<_> = (0..BATCH_UNITS).map(|_| self.unit()).collect();
            let started = Instant::now();
            let outcome = self.store.append(&batch, &[]).await.unwrap();
            meter.count(batch.len(), started);
            assert!(matches!(outcome, AppendOutcome::Committed(_)), "{outcome:?}");
        }
        self.append_rates.push(meter.rate());
        let mut meter = Meter::default();
        while meter.busy < ROUND {
            let started = Instant::now();
            let page = self.store.read_after(self.cursor, PAGE_EVENTS).await.unwrap();
            meter.count(page.events.len(), started);
            self.cursor = if page.events.len() < PAGE_EVENTS { Position::START } else { page.complete_up_to };
        }
        self.relay_rates.push(meter.rate());
    }

    fn unit(&mut self) -> AppendUnit {
        // The same number of streams, whatever the size of the table.
        let stream = self.rng.random_range(0..ACTIVE_STREAMS) * (self.versions.len() / ACTIVE_STREAMS);
        self.versions[stream] += 1;
        let mut payload = [0_u8; PAYLOAD_BYTES];
        self.rng.fill(&mut payload);
        let event = NewEvent {
            stream_id: StreamId::new(&format!("account-{stream:08}")).unwrap(),
            version: Version::new(self.versions[stream]),
            event_type: "growth.event.v1.Deposited".into(),
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

/// Counts events and the time that server and driver take for them.
#[derive(Default)]
struct Meter {
    busy: Duration,
    events: f64,
}

impl Meter {
    fn count(&mut self, events: usize, started: Instant) {
        self.busy += started.elapsed();
        self.events += f64::from(u32::try_from(events).unwrap());
    }

    fn rate(&self) -> f64 {
        self.events / self.busy.as_secs_f64()
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
