//! Servers that crash, stop and come back.

use std::{
    slice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use diptych_kernel::ports::{CacheRead, Effect, FillLease, ViewCache};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::Instant,
};

use crate::{
    counters::{self, count},
    harness::{
        SEATS, bare_client_of, cached_position, config, key, open, read_one, refresh, row, server_key, wait_until,
        wait_until_down, wait_until_reachable,
    },
    server::{MemcachedServer, SHORT_TIMEOUT},
};

const ROWS: usize = 100;

/// Two servers with a row under each key, and which keys are on each of them.
struct TwoServers {
    running: MemcachedServer,
    killed: MemcachedServer,
    cache: MemcachedViewCache,
    kept: Vec<usize>,
    lost: Vec<usize>,
}

impl TwoServers {
    async fn start() -> Option<Self> {
        let (running, killed) = (MemcachedServer::start(&[]).await?, MemcachedServer::start(&[]).await?);
        let config = config(&[&running.address, &killed.address]);
        let cache = open(&config).await;
        let rows: Vec<_> = (0..ROWS).map(|number| (key(number), row(5))).collect();
        cache.refresh(SEATS, &rows).await.unwrap();
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        let client = bare_client_of(&running.address).await;
        for number in 0..ROWS {
            let is_here = client.get(server_key(&config, number)).send().await.unwrap().hit();
            if is_here { kept.push(number) } else { lost.push(number) }
        }
        assert!(kept.len() > ROWS / 4 && lost.len() > ROWS / 4, "{} and {}", kept.len(), lost.len());
        Some(Self { running, killed, cache, kept, lost })
    }
}

#[tokio::test]
async fn a_crashed_server_affects_only_its_own_keys() {
    let Some(mut two) = TwoServers::start().await else { return };
    two.killed.kill();
    wait_until_down(&two.cache, two.lost[0]).await;
    for number in &two.kept {
        assert_eq!(cached_position(&two.cache, *number).await, Some(5));
    }
    for number in &two.lost {
        let error = two.cache.read(SEATS, slice::from_ref(&key(*number))).await.unwrap_err();
        assert!(error.to_string().contains(&two.killed.address), "{error}");
        assert_eq!(error.effect(), Effect::None);
    }
}

#[tokio::test]
async fn a_partly_unreachable_read_returns_the_reachable_rows() {
    let Some(mut two) = TwoServers::start().await else { return };
    two.killed.kill();
    wait_until_down(&two.cache, two.lost[0]).await;
    let keys: Vec<_> = (0..ROWS).map(key).collect();
    let reads = two.cache.read(SEATS, &keys).await.unwrap();
    let mut leases: Vec<(usize, FillLease)> = Vec::new();
    for (number, read) in reads.into_iter().enumerate() {
        match read {
            CacheRead::Hit(found) => assert!(found == row(5) && two.kept.contains(&number)),
            CacheRead::Miss(lease) => leases.push((number, lease)),
            CacheRead::Filling => panic!("unreachable keys must be misses, not being filled"),
        }
    }
    assert_eq!(leases.iter().map(|(number, _)| *number).collect::<Vec<_>>(), two.lost);
    // The caller reads these rows from the read database; the fill has nothing to do.
    for (number, lease) in leases {
        assert!(two.cache.fill(SEATS, &key(number), lease, row(6)).await.unwrap());
    }
    // Refreshes reach the running server, and report that the other one failed.
    let rows: Vec<_> = (0..ROWS).map(|number| (key(number), row(7))).collect();
    assert!(two.cache.refresh(SEATS, &rows).await.is_err());
    for number in &two.kept {
        assert_eq!(cached_position(&two.cache, *number).await, Some(7));
    }
    assert!(two.cache.invalidate(SEATS, &keys).await.is_err());
    assert_eq!(cached_position(&two.cache, two.kept[0]).await, None);
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let Some(mut two) = TwoServers::start().await else { return };
    two.killed.kill();
    wait_until_down(&two.cache, two.lost[0]).await;
    assert!(two.killed.restart().await);
    wait_until_reachable(&two.cache, two.lost[0]).await;
    for number in &two.lost {
        assert_eq!(cached_position(&two.cache, *number).await, None, "it came back empty");
        refresh(&two.cache, *number, 6).await;
    }
    for number in &two.lost {
        assert_eq!(cached_position(&two.cache, *number).await, Some(6));
    }
    drop(two.running);
}

#[tokio::test]
async fn calls_to_a_server_that_is_down_fail_at_once() {
    let Some(mut server) = MemcachedServer::start(&[]).await else { return };
    let config = MemcachedConfig {
        request_timeout: Duration::from_secs(60),
        reconnect_delay_min: Duration::from_secs(60),
        reconnect_delay_max: Duration::from_secs(60),
        ..config(&[&server.address])
    };
    counters::install();
    let cache = open(&config).await;
    refresh(&cache, 1, 5).await;
    server.kill();
    wait_until_down(&cache, 1).await;
    let unreachable = || count("diptych_memcached_server_unreachable_total", Some(&server.address));
    let (begun, before) = (Instant::now(), unreachable());
    for number in 0..10_000 {
        assert!(cache.read(SEATS, slice::from_ref(&key(number))).await.is_err());
    }
    let taken = begun.elapsed();
    assert!(taken < config.request_timeout, "10,000 calls took {taken:?}");
    assert_eq!(unreachable() - before, 10_000);
    assert!(count("diptych_memcached_server_failures_total", Some(&server.address)) > 0);
}

#[tokio::test]
async fn a_server_that_is_down_at_start_is_used_once_it_is_up() {
    let Some(mut server) = MemcachedServer::start(&[]).await else { return };
    server.kill();
    let cache = open(&config(&[&server.address])).await;
    let error = cache.read(SEATS, &[key(1)]).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error}");
    assert!(server.restart().await);
    wait_until_reachable(&cache, 1).await;
    refresh(&cache, 2, 5).await;
    assert_eq!(cached_position(&cache, 2).await, Some(5));
}

#[tokio::test]
async fn a_host_name_that_does_not_resolve_makes_reads_fail() {
    // Too long for a host name, so that no name server is asked.
    let cache = open(&config(&[&format!("{}:11211", "h".repeat(64))])).await;
    wait_until_down(&cache, 1).await;
    assert!(cache.read(SEATS, &[key(1)]).await.is_err());
    let nothing = cache.read(SEATS, &[]).await.unwrap();
    assert!(nothing.is_empty(), "a read of no keys succeeds");
}

#[tokio::test]
async fn a_restart_between_two_calls_is_not_a_failure() {
    let Some(mut server) = MemcachedServer::start(&[]).await else { return };
    let cache = open(&config(&[&server.address])).await;
    refresh(&cache, 1, 5).await;
    server.kill();
    assert!(server.restart().await);
    // The connection is closed, which does not mean that the server is down.
    assert_eq!(cached_position(&cache, 1).await, None);
    refresh(&cache, 1, 6).await;
    assert_eq!(cached_position(&cache, 1).await, Some(6));
}

/// A stopped server keeps its rows, and later receives everything sent to it in the meantime.
#[tokio::test]
async fn only_rows_that_were_asked_for_while_a_server_was_stopped_are_misses_after_it_resumes() {
    let Some(server) = MemcachedServer::start(&[]).await else { return };
    let mut config = config(&[&server.address]);
    config.request_timeout = SHORT_TIMEOUT;
    config.connect_timeout = SHORT_TIMEOUT;
    let cache = open(&config).await;
    wait_until("a connection", async || {
        cache.refresh(SEATS, &[1, 2, 5].map(|number| (key(number), row(5)))).await.is_ok()
    })
    .await;
    wait_until("the rows", async || {
        let mut positions = Vec::new();
        for number in [1, 2, 5] {
            positions.push(cached_position(&cache, number).await);
        }
        positions == [Some(5); 3]
    })
    .await;
    server.pause().await;
    // Readers go to the read database, which has a newer row by now, and return it.
    assert!(cache.refresh(SEATS, &[(key(1), row(6))]).await.is_err());
    wait_until_down(&cache, 1).await;
    assert!(cache.read(SEATS, &[key(2)]).await.is_err());
    server.resume();
    wait_until_reachable(&cache, 3).await;
    assert_ne!(cached_position(&cache, 1).await, Some(5), "the row that could not be refreshed");
    assert_eq!(cached_position(&cache, 2).await, None, "a row of which a reader may have seen a newer version");
    assert_eq!(cached_position(&cache, 5).await, Some(5), "a row that no call concerned");
    // New rows and leases work again.
    refresh(&cache, 2, 7).await;
    assert_eq!(cached_position(&cache, 2).await, Some(7));
    let CacheRead::Miss(lease) = read_one(&cache, 4).await else { panic!("the key was never cached") };
    assert!(cache.fill(SEATS, &key(4), lease, row(1)).await.unwrap());
    assert_eq!(cached_position(&cache, 4).await, Some(1));
}

/// The CAS floor below which items count as misses must not outlive the server's item counter.
#[tokio::test]
async fn a_server_that_was_stopped_and_then_restarted_is_used_again() {
    let Some(mut server) = MemcachedServer::start(&[]).await else { return };
    let mut config = config(&[&server.address]);
    config.request_timeout = SHORT_TIMEOUT;
    config.connect_timeout = SHORT_TIMEOUT;
    let cache = open(&config).await;
    wait_until("a connection", async || cache.refresh(SEATS, &[(key(1), row(5))]).await.is_ok()).await;
    // Raises the server's item counter.
    for number in 0..200 {
        wait_until("a row", async || cache.refresh(SEATS, &[(key(number), row(5))]).await.is_ok()).await;
    }
    server.pause().await;
    wait_until_down(&cache, 1).await;
    server.resume();
    wait_until_reachable(&cache, 1).await;
    server.kill();
    assert!(server.restart().await);
    wait_until("a new row", async || cache.refresh(SEATS, &[(key(1), row(6))]).await.is_ok()).await;
    wait_until("the new row to be a hit", async || cached_position(&cache, 1).await == Some(6)).await;
}

/// A server that answers only probes is detected as down, with growing pauses between the attempts to reconnect.
#[tokio::test]
async fn a_server_that_answers_only_probes_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&[&listener.local_addr().unwrap().to_string()]);
    config.request_timeout = Duration::from_millis(20);
    config.reconnect_delay_min = Duration::from_millis(10);
    config.reconnect_delay_max = Duration::from_secs(60);
    let probes = Arc::new(AtomicUsize::new(0));
    let mut server_task = JoinSet::new();
    let counter = Arc::clone(&probes);
    server_task.spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HD c1\r\n").await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            open.push(stream);
        }
    });
    let started_at = Instant::now();
    let cache = open(&config).await;
    wait_until_down(&cache, 1).await;
    wait_until("the ninth connection", async || {
        let _ = cache.read(SEATS, &[key(1)]).await;
        probes.load(Ordering::SeqCst) >= 9
    })
    .await;
    // After three failures the server counts as down, and the shortest pauses before the other six connections are 10,
    // 20, 40, 80, 160 and 320 ms. A slow machine only makes it longer.
    let elapsed = started_at.elapsed();
    assert!(elapsed >= Duration::from_millis(630), "nine connections after {elapsed:?}: the pauses did not grow");
}
