//! Benchmark of the cache against its limit: the library's bare client on the same server, in one run, in alternating
//! rounds.
//!
//! ```text
//! memcached -l 127.0.0.1 -p 11311 -m 64 &
//! cargo run --release -p diptych-memcached --example memcached-limit -- 127.0.0.1:11311 [CONNECTIONS]
//! ```
//!
//! The last figure of each side is the processor time of this process per call, which is the most meaningful one on a
//! machine with other load. Both sides read and write the same number of rows of the same size. The bare client has a
//! connection for each call in flight, up to 64, and neither leases nor comparisons: the difference is the cost of the
//! contract.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an example may panic")]

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use diptych_kernel::{
    Position, Timestamp,
    domain::{RowKey, ViewId},
    ports::{CacheRead, CachedRow, ViewCache},
};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use memcache::exp::{AsyncMetaClient, Get, Set, Ttl};
use tokio::{task::JoinSet, time::Instant};

const VIEW: ViewId = ViewId { name: "limit", generation: 1 };
const ROWS: usize = 10_000;
const BODY_BYTES: usize = 120;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1_000);
const CONNECTIONS: usize = 64;

/// Calls per second, their latency, and the processor time of this process per call.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
}

/// The processor time of all threads so far; 0 where the system does not report it.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let times = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    Duration::from_nanos(times.filter_map(|times| times.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// Calls repeatedly for the length of a round, with a number of concurrent callers.
async fn measure<F>(callers: usize, call: impl Fn(usize) -> F + Clone + Send + 'static) -> Figures
where
    F: Future<Output = ()> + Send,
{
    let (begun, cpu_before, mut tasks) = (Instant::now(), cpu_time(), JoinSet::new());
    for caller in 0..callers {
        let call = call.clone();
        tasks.spawn(async move {
            let (mut times, mut number) = (Vec::new(), caller * 7_919);
            while begun.elapsed() < ROUND {
                let at = Instant::now();
                call(number).await;
                times.push(at.elapsed());
                number += 1;
            }
            times
        });
    }
    let mut times: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let elapsed = begun.elapsed();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e6;
    #[allow(clippy::cast_precision_loss, reason = "a count of calls in a second")]
    let count = times.len() as f64;
    let cpu_us = (cpu_time() - cpu_before).as_secs_f64() * 1e6 / count;
    Figures { per_second: count / elapsed.as_secs_f64(), p50_us: at(50), p99_us: at(99), cpu_us }
}

/// The median of several rounds by calls per second.
fn median(mut rounds: Vec<Figures>) -> Figures {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds[rounds.len() / 2]
}

fn key(number: usize) -> RowKey {
    RowKey::single(&format!("row-{:012}", number % ROWS))
}

fn bare_key(number: usize) -> String {
    format!("bare:limit_g1:row-{:012}:", number % ROWS)
}

fn row(position: i64) -> CachedRow {
    let position = Position::from_i64(position).unwrap();
    let body = Some(Bytes::from(vec![b'x'; BODY_BYTES]));
    CachedRow { position, current_up_to: position, as_of: Timestamp::from_micros(1), body }
}

async fn store_rows(bare: &AsyncMetaClient, cache: &MemcachedViewCache) {
    for chunk in (0..ROWS).collect::<Vec<_>>().chunks(500) {
        let sets = chunk.iter().map(|number| Set::new(bare_key(*number), [b'x'; BODY_BYTES + 26]).ttl(Ttl::secs(600)));
        bare.run_many(sets).await.unwrap();
        let rows: Vec<_> = chunk.iter().map(|number| (key(*number), row(1))).collect();
        cache.refresh(VIEW, &rows).await.unwrap();
    }
}

fn print_comparison(what: &str, bare: Figures, ours: Figures) {
    let of = |side: Figures| {
        let Figures { per_second, p50_us, p99_us, cpu_us } = side;
        format!("{per_second:>7.0}/s p50 {p50_us:>6.0} us p99 {p99_us:>6.0} us cpu {cpu_us:>5.1} us")
    };
    println!("{what:34} bare {} | ours {} | {:.2}", of(bare), of(ours), ours.per_second / bare.per_second);
}

/// Compares both sides in alternating rounds, so that both run under the same conditions.
async fn compare<A, B>(
    what: &str,
    callers: usize,
    bare: impl Fn(usize) -> A + Clone + Send + 'static,
    ours: impl Fn(usize) -> B + Clone + Send + 'static,
) where
    A: Future<Output = ()> + Send,
    B: Future<Output = ()> + Send,
{
    let (mut of_bare, mut of_ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_bare.push(measure(callers, bare.clone()).await);
        of_ours.push(measure(callers, ours.clone()).await);
    }
    print_comparison(&format!("{what}, {callers} callers"), median(of_bare), median(of_ours));
}

#[tokio::main]
async fn main() {
    let server = std::env::args().nth(1).expect("usage: memcached-limit HOST:PORT [CONNECTIONS]");
    let connections_per_server =
        std::env::args().nth(2).map_or(1, |count| count.parse().expect("CONNECTIONS must be a number"));
    let timeout = Duration::from_secs(5);
    let bare = AsyncMetaClient::builder().max_idle(CONNECTIONS).max_connections(Some(CONNECTIONS));
    let bare =
        bare.io_timeout(Some(timeout)).connect_timeout(Some(timeout)).connect_async(server.clone()).await.unwrap();
    let config =
        MemcachedConfig { connections_per_server, request_timeout: timeout, ..MemcachedConfig::new(vec![server]) };
    let cache = Arc::new(MemcachedViewCache::open(config).await.unwrap());
    store_rows(&bare, &cache).await;

    for callers in [1, 16, 64, 512] {
        let (client, shared) = (bare.clone(), Arc::clone(&cache));
        compare(
            "read of one row",
            callers,
            move |number| {
                let client = client.clone();
                async move { assert!(client.get(bare_key(number)).send().await.unwrap().hit()) }
            },
            move |number| {
                let cache = Arc::clone(&shared);
                async move {
                    let read = cache.read(VIEW, &[key(number)]).await.unwrap();
                    assert!(matches!(read.as_slice(), [CacheRead::Hit(_)]));
                }
            },
        )
        .await;
    }
    for callers in [1, 16] {
        let (client, shared) = (bare.clone(), Arc::clone(&cache));
        compare(
            "read of 100 rows",
            callers,
            move |number| {
                let client = client.clone();
                async move {
                    let gets = (number..number + 100).map(|number| Get::new(bare_key(number)));
                    assert!(client.run_many(gets).await.unwrap().iter().all(|got| got.as_ref().unwrap().hit()));
                }
            },
            move |number| {
                let cache = Arc::clone(&shared);
                async move {
                    let keys: Vec<_> = (number..number + 100).map(key).collect();
                    let reads = cache.read(VIEW, &keys).await.unwrap();
                    assert!(reads.iter().all(|read| matches!(read, CacheRead::Hit(_))));
                }
            },
        )
        .await;
    }
    let (client, shared) = (bare.clone(), Arc::clone(&cache));
    compare(
        "write of 500 rows",
        1,
        move |number| {
            let client = client.clone();
            async move {
                let sets = (number..number + 500)
                    .map(|number| Set::new(bare_key(number), [b'x'; BODY_BYTES + 26]).ttl(Ttl::secs(600)));
                assert!(client.run_many(sets).await.unwrap().iter().all(|set| set.as_ref().unwrap().applied()));
            }
        },
        move |number| {
            let cache = Arc::clone(&shared);
            async move {
                let position = i64::try_from(number).unwrap() + 2;
                let rows: Vec<_> = (number..number + 500).map(|number| (key(number), row(position))).collect();
                cache.refresh(VIEW, &rows).await.unwrap();
            }
        },
    )
    .await;
}
