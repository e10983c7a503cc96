//! Compares the event log with plain rdkafka: latency from producing to consuming at a steady rate, and throughput of
//! small records, once with a minimal client and once through [`KafkaEventLog`], in the same run on the same brokers.
//!
//! ```text
//! cargo run --release -p diptych-kafka --example kafka-limit -- 127.0.0.1:9092 [seconds] [rate per second]
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic fails the measurement")]

mod event_log;
mod plain_rdkafka;

use std::time::Duration;

use diptych_kafka::{KafkaConfig, KafkaEventLog, ensure_topic};
use diptych_kernel::{Partitions, ports::EventLog};
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

const PARTITIONS: u16 = 16;
const PAYLOAD_BYTES: usize = 100;
const THROUGHPUT_COUNT: u64 = 500_000;

/// A steady rate of records for some time.
#[derive(Clone, Copy)]
struct SteadyLoad {
    rate: u64,
    seconds: u64,
}

impl SteadyLoad {
    fn count(&self) -> u64 {
        self.rate * self.seconds
    }
}

/// Schedule of a steady rate.
struct Pace {
    start: Instant,
    interval: Duration,
    sent_count: u32,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self { start: Instant::now(), interval: Duration::from_secs(1) / u32::try_from(rate).unwrap(), sent_count: 0 }
    }

    /// Time until the next record is due. `None` if it is due now; it then counts as sent.
    fn wait(&mut self) -> Option<Duration> {
        let wait = (self.start + self.interval * self.sent_count).saturating_duration_since(Instant::now());
        if wait.is_zero() {
            self.sent_count += 1;
            return None;
        }
        Some(wait)
    }
}

fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap()
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn per_second(count: u64, start: Instant) -> f64 {
    count as f64 / start.elapsed().as_secs_f64()
}

/// Latencies in milliseconds.
struct Latencies {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Latencies {
    #[allow(clippy::cast_precision_loss, reason = "latencies are far below 2^53 nanoseconds")]
    fn of(mut latencies: Vec<u64>, work: &SteadyLoad) -> Self {
        // The first second is warm-up.
        latencies.drain(..usize::try_from(work.rate).unwrap());
        latencies.sort_unstable();
        let at = |share: usize| latencies[(latencies.len() * share / 100).min(latencies.len() - 1)] as f64 / 1e6;
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

/// Peak resident memory of the process, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}

async fn topic(servers: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new(servers, format!("limit-{}", Uuid::new_v4()));
    config.replication_factor = 1;
    config.min_insync_replicas = 1;
    ensure_topic(&config, Partitions::new(PARTITIONS).unwrap()).await.unwrap();
    config
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().expect("bootstrap servers, such as 127.0.0.1:9092");
    let seconds = arguments.next().map_or(10, |text| text.parse().expect("seconds"));
    let rate = arguments.next().map_or(1_000, |text| text.parse().expect("records per second"));
    let work = SteadyLoad { rate, seconds: seconds + 1 };

    // The event log first, so that the peak memory is its own.
    let config = topic(&servers).await;
    let log = Arc::new(KafkaEventLog::open(config).await.unwrap());
    let ours = event_log::latency(&log, work).await;
    let log = Arc::new(KafkaEventLog::open(topic(&servers).await).await.unwrap());
    let (ours_in, ours_out) = event_log::throughput(&log, THROUGHPUT_COUNT).await;
    let start = Instant::now();
    log.ends().await.unwrap();
    let ends_ms = start.elapsed().as_secs_f64() * 1e3;
    let peak = peak_mib();

    let blocking = |measure: fn(&str, &str, SteadyLoad) -> Latencies, topic: String| {
        let servers = servers.clone();
        tokio::task::spawn_blocking(move || measure(&servers, &topic, work))
    };
    let bare = blocking(plain_rdkafka::latency, topic(&servers).await.topic).await.unwrap();
    let (to, name) = (servers.clone(), topic(&servers).await.topic);
    let (bare_in, bare_out) =
        tokio::task::spawn_blocking(move || plain_rdkafka::throughput(&to, &name, THROUGHPUT_COUNT)).await.unwrap();

    println!("{:<28}{:>12}{:>12}{:>8}", "", "rdkafka", "event log", "ratio");
    let row = |what: &str, bare: f64, ours: f64| println!("{what:<28}{bare:>12.2}{ours:>12.2}{:>8.2}", ours / bare);
    row(&format!("p50 ms at {rate}/s"), bare.p50, ours.p50);
    row(&format!("p99 ms at {rate}/s"), bare.p99, ours.p99);
    row("max ms", bare.max, ours.max);
    row("1000 records/s in", bare_in / 1e3, ours_in / 1e3);
    row("1000 records/s out", bare_out / 1e3, ours_out / 1e3);
    println!("ends of {PARTITIONS} partitions: {ends_ms:.1} ms; peak memory of the process: {peak} MiB");
    println!(
        "{{\"rate\":{rate},\"bare\":{{\"p50_ms\":{:.3},\"p99_ms\":{:.3},\
         \"in_per_second\":{bare_in:.0},\"out_per_second\":{bare_out:.0}}},\
         \"ours\":{{\"p50_ms\":{:.3},\"p99_ms\":{:.3},\
         \"in_per_second\":{ours_in:.0},\"out_per_second\":{ours_out:.0}}},\
         \"ends_ms\":{ends_ms:.1},\"peak_mib\":{peak}}}",
        bare.p50, bare.p99, ours.p50, ours.p99
    );
}
