//! Compares the write rate with the limit of the server, and measures read latencies.
//!
//! A plain writer of the same rows and the adapter take turns in one run, so the ratio is the cost of the adapter,
//! whatever the machine. Prints a table, then one line of JSON.
//!
//!     cargo run --release -p diptych-scylla --example scylla-limit -- 127.0.0.1:9042 [ROWS [IN_FLIGHT]]
//!
//! Each of the two writes ROWS rows in each of several rounds; IN_FLIGHT is the adapter's `requests_max`. Creates a
//! keyspace and drops it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed measurement has no result")]

use std::{future::Future, slice, time::Duration};

use diptych_kernel::{
    Partition, Partitions, Position, Timestamp,
    domain::{RowKey, ViewId},
    ports::{Offset, Progress, ProgressStore, ProgressUpdate, Row, RowWrite, ViewStore},
    vocabulary::Installation,
};
use diptych_scylla::{ScyllaConfig, ScyllaViewStore, migrate};
use futures::{StreamExt, stream};
use hdrhistogram::Histogram;
use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    statement::prepared::PreparedStatement,
};
use tokio::time::Instant;

const IN_FLIGHT: usize = 256;
/// The number of rows of a projector's write.
const ROWS_AT_ONCE: usize = 1_000;
const BODY_BYTES: usize = 200;
const ROUNDS: usize = 5;
const READS: usize = 2_000;
const SAVES: usize = 500;
const VIEWS: [&str; 5] = ["one", "two", "three", "four", "five"];

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "127.0.0.1:9042".into());
    let rows_count: usize = arguments.next().map_or(40_000, |text| text.parse().expect("ROWS is a number"));
    let keyspace = format!("diptych_limit_{}", std::process::id());
    let requests_max = arguments.next().map_or(IN_FLIGHT, |text| text.parse().expect("IN_FLIGHT is a number"));
    let config = ScyllaConfig { requests_max, replication_factor: 1, ..ScyllaConfig::new(vec![server], keyspace) };
    let bench = Bench::prepare(&config).await;

    let mut figures = Vec::new();
    for (name, rows_per_key) in [("1 row per partition key", 1), ("16 rows per partition key", 16)] {
        figures.extend(bench.compare_writers(name, rows_per_key, rows_count).await);
    }
    figures.extend(bench.measure_reads().await);
    for partitions in [1, 16] {
        figures.extend(bench.measure_progress(partitions).await);
    }
    figures.extend(peak_memory());
    report(&figures);

    let drop_keyspace = format!("DROP KEYSPACE \"{}\"", config.keyspace);
    bench.session.query_unpaged(drop_keyspace, ()).await.unwrap();
}

/// A measured value with its name and unit.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

fn figure(name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
    Figure { name: name.into(), value, unit }
}

struct Bench {
    session: Session,
    plain: PreparedStatement,
    store: ScyllaViewStore,
    other: ScyllaViewStore,
    view: ViewId,
}

impl Bench {
    async fn prepare(config: &ScyllaConfig) -> Self {
        let installation = Installation::new(Partitions::new(16).unwrap());
        migrate(config, &installation).await.unwrap();
        let open = async || ScyllaViewStore::open(config.clone(), &installation).await.unwrap();
        let (store, other) = (open().await, open().await);
        let view = ViewId { name: "limit", generation: 1 };
        store.ensure_views(&[view]).await.unwrap();
        let session = SessionBuilder::new()
            .known_nodes(&config.contact_points)
            .use_keyspace(&config.keyspace, true)
            .build()
            .await
            .unwrap();
        let insert = format!(
            "INSERT INTO {view} (partition_key, sort_key, position, is_deleted, body)
             VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
        );
        let plain = session.prepare(insert).await.unwrap();
        Self { session, plain, store, other, view }
    }

    /// Measures both writers in turns; every round has rows of its own.
    async fn compare_writers(&self, name: &str, rows_per_key: usize, rows_count: usize) -> Vec<Figure> {
        let (mut plain, mut adapter) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let rows = self.rows(&format!("{name} {round} plain"), rows_per_key, rows_count);
            let plain_rate = rate(rows.len(), self.write_without_adapter(&rows)).await;
            let rows = self.rows(&format!("{name} {round} adapter"), rows_per_key, rows_count);
            let adapter_rate = rate(rows.len(), self.write(&rows)).await;
            // The first round warms up the server.
            if round > 0 {
                plain.push(plain_rate);
                adapter.push(adapter_rate);
            }
        }
        let (plain, adapter) = (median(plain), median(adapter));
        vec![
            figure(format!("{name}: plain writer"), plain, "rows/s"),
            figure(format!("{name}: adapter"), adapter, "rows/s"),
            figure(format!("{name}: ratio"), adapter / plain, ""),
        ]
    }

    fn rows(&self, name: &str, rows_per_key: usize, rows_count: usize) -> Vec<RowWrite> {
        let row = |number: usize| RowWrite {
            view: self.view,
            key: RowKey::new(&format!("{name} {}", number / rows_per_key), number.to_be_bytes().to_vec()),
            row: Row { position: position(number + 1), body: Some(vec![b'x'; BODY_BYTES].into()) },
        };
        (0..rows_count).map(row).collect()
    }

    async fn write_without_adapter(&self, rows: &[RowWrite]) {
        let insert = async |write: &RowWrite| {
            let position = write.row.position.as_i64();
            let body = write.row.body.as_deref().unwrap();
            let values =
                (&*write.key.partition_key, &write.key.sort_key[..], position, false, body, position - (1 << 62));
            self.session.execute_unpaged(&self.plain, values).await.unwrap();
        };
        stream::iter(rows).map(insert).buffer_unordered(IN_FLIGHT).count().await;
    }

    async fn write(&self, rows: &[RowWrite]) {
        for rows in rows.chunks(ROWS_AT_ONCE) {
            self.store.write(rows).await.unwrap();
        }
    }

    async fn measure_reads(&self) -> Vec<Figure> {
        let rows = self.rows("read", 1, READS);
        self.write(&rows).await;
        let keys: Vec<_> = rows.into_iter().map(|row| row.key).collect();
        let (mut latency, mut at_once) = (latency(), Vec::new());
        for round in 0..=ROUNDS {
            latency.reset();
            for key in &keys {
                let started_at = Instant::now();
                assert!(self.store.read(self.view, slice::from_ref(key)).await.unwrap()[0].is_some());
                record(&mut latency, started_at.elapsed());
            }
            let all = rate(keys.len(), async { drop(self.store.read(self.view, &keys).await.unwrap()) }).await;
            at_once.extend((round > 0).then_some(all));
        }
        let mut figures = percentiles("read a row, one after the other", &latency);
        figures.push(figure(format!("read {READS} rows in one call"), median(at_once), "rows/s"));
        figures
    }

    /// Measures saves of progress as of a projector after a batch in some partitions, and concurrent loads as of a
    /// query process.
    async fn measure_progress(&self, partitions: u16) -> Vec<Figure> {
        let views = VIEWS.map(|name| ViewId { name, generation: partitions });
        let (mut save, mut load, mut visible) = (latency(), latency(), latency());
        for number in 1..=2 * SAVES {
            let updates: Vec<_> = views
                .iter()
                .flat_map(|view| (0..partitions).map(|partition| progress(*view, partition, number)))
                .collect();
            let started_at = Instant::now();
            let saved = async {
                self.store.save(&updates).await.unwrap();
                started_at.elapsed()
            };
            let seen = async {
                loop {
                    let asked = Instant::now();
                    let loaded = self.other.load(&views).await.unwrap();
                    record(&mut load, asked.elapsed());
                    if loaded.iter().any(|update| update.progress.position == position(number)) {
                        return started_at.elapsed();
                    }
                }
            };
            let (saved, seen) = futures::join!(saved, seen);
            record(&mut save, saved);
            record(&mut visible, seen);
            if number == SAVES {
                // The first half warms up the server.
                [&mut save, &mut load, &mut visible].into_iter().for_each(Histogram::reset);
            }
        }
        let what = format!("progress of 5 views in {partitions} partitions");
        let mut figures = percentiles(&format!("{what}: save"), &save);
        figures.extend(percentiles(&format!("{what}: load"), &load));
        figures.extend(percentiles(&format!("{what}: start of a save to its load by another"), &visible));
        figures
    }
}

fn progress(view: ViewId, partition: u16, number: usize) -> ProgressUpdate {
    let position = position(number);
    let as_of = Timestamp::from_micros(position.as_i64());
    let next_offset = Offset(position.as_i64().unsigned_abs());
    let progress = Progress { position, as_of, next_offset, parked: Vec::new() };
    ProgressUpdate { view, partition: Partition::new(partition), progress }
}

fn position(number: usize) -> Position {
    Position::from_i64(i64::try_from(number).unwrap()).unwrap()
}

async fn rate(count: usize, work: impl Future<Output = ()>) -> f64 {
    let started_at = Instant::now();
    work.await;
    #[allow(clippy::cast_precision_loss, reason = "counts of rows are far below 2^52")]
    let count = count as f64;
    count / started_at.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A histogram of microseconds.
fn latency() -> Histogram<u64> {
    Histogram::new(3).unwrap()
}

fn record(latency: &mut Histogram<u64>, elapsed: Duration) {
    latency.record(u64::try_from(elapsed.as_micros()).unwrap()).unwrap();
}

fn percentiles(name: &str, latency: &Histogram<u64>) -> Vec<Figure> {
    let percentile = |percent: f64| {
        #[allow(clippy::cast_precision_loss, reason = "microseconds of a run are far below 2^52")]
        let micros = latency.value_at_percentile(percent) as f64;
        figure(format!("{name}: p{percent}"), micros / 1e3, "ms")
    };
    vec![percentile(50.0), percentile(99.0)]
}

/// The peak memory of this process, including the generated rows; `None` where the system does not report it.
fn peak_memory() -> Option<Figure> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(figure("peak memory of this process", kib / 1024.0, "MiB"))
}

fn report(figures: &[Figure]) {
    for Figure { name, value, unit } in figures {
        let digits = if *unit == "rows/s" { 0 } else { 2 };
        println!("{name:<62} {value:>10.digits$} {unit}");
    }
    let json: serde_json::Map<_, _> = figures
        .iter()
        .map(|Figure { name, value, unit }| (name.clone(), serde_json::json!({ "value": value, "unit": unit })))
        .collect();
    println!("{}", serde_json::Value::Object(json));
}
