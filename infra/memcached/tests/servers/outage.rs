//! Servers that die, stop and come back.

use std::{slice, sync::Arc, time::Duration};

use diptych_kernel::ports::{CacheRead, Effect, FillLease, ViewCache};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
    time::Instant,
};

use crate::{
    counters::{self, count},
    server::{SOON, Server},
    stage::{SEATS, bare, cached, config, key, look, open, refresh, row, server_key, until, until_down, until_reached},
};

const ROWS: usize = 100;

/// Two servers, and which keys are on each of them.
struct Two {
    alive: Server,
    dying: Server,
    cache: MemcachedViewCache,
    kept: Vec<usize>,
    lost: Vec<usize>,
}

impl Two {
    /// With a row under each key.
    async fn start() -> Option<Self> {
        let (alive, dying) = (Server::start(&[]).await?, Server::start(&[]).await?);
        let config = config(&[&alive.address, &dying.address]);
        let cache = open(&config).await;
        let rows: Vec<_> = (0..ROWS).map(|number| (key(number), row(5))).collect();
        cache.refresh(SEATS, &rows).await.unwrap();
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        let client = bare(&alive.address).await;
        for number in 0..ROWS {
            let is_here = client.get(server_key(&config, number)).send().await.unwrap().hit();
            if is_here { kept.push(number) } else { lost.push(number) }
        }
        assert!(kept.len() > ROWS / 4 && lost.len() > ROWS / 4, "{} and {}", kept.len(), lost.len());
        Some(Self { alive, dying, cache, kept, lost })
    }
}

#[tokio::test]
async fn a_dead_server_takes_only_its_own_keys_with_it() {
    let Some(mut two) = Two::start().await else { return };
    two.dying.kill();
    until_down(&two.cache, two.lost[0]).await;
    for number in &two.kept {
        assert_eq!(cached(&two.cache, *number).await, Some(5));
    }
    for number in &two.lost {
        let error = two.cache.read(SEATS, slice::from_ref(&key(*number))).await.unwrap_err();
        assert!(error.to_string().contains(&two.dying.address), "{error}");
        assert_eq!(error.effect(), Effect::None);
    }
}

#[tokio::test]
async fn a_read_of_which_a_part_is_out_of_reach_answers_the_rest() {
    let Some(mut two) = Two::start().await else { return };
    two.dying.kill();
    until_down(&two.cache, two.lost[0]).await;
    let keys: Vec<_> = (0..ROWS).map(key).collect();
    let reads = two.cache.read(SEATS, &keys).await.unwrap();
    let mut leases: Vec<(usize, FillLease)> = Vec::new();
    for (number, read) in reads.into_iter().enumerate() {
        match read {
            CacheRead::Hit(found) => assert!(found == row(5) && two.kept.contains(&number)),
            CacheRead::Miss(lease) => leases.push((number, lease)),
            CacheRead::Filling => panic!("nobody fills what is out of reach"),
        }
    }
    assert_eq!(leases.iter().map(|(number, _)| *number).collect::<Vec<_>>(), two.lost);
    // It is read from the read database, and that is that.
    for (number, lease) in leases {
        assert!(two.cache.fill(SEATS, &key(number), lease, row(6)).await.unwrap());
    }
    // Refreshes go to those who can be reached, and say that there was more.
    let rows: Vec<_> = (0..ROWS).map(|number| (key(number), row(7))).collect();
    assert!(two.cache.refresh(SEATS, &rows).await.is_err());
    for number in &two.kept {
        assert_eq!(cached(&two.cache, *number).await, Some(7));
    }
    assert!(two.cache.invalidate(SEATS, &keys).await.is_err());
    assert_eq!(cached(&two.cache, two.kept[0]).await, None);
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let Some(mut two) = Two::start().await else { return };
    two.dying.kill();
    until_down(&two.cache, two.lost[0]).await;
    assert!(two.dying.restart().await);
    until_reached(&two.cache, two.lost[0]).await;
    for number in &two.lost {
        assert_eq!(cached(&two.cache, *number).await, None, "it came back empty");
        refresh(&two.cache, *number, 6).await;
    }
    for number in &two.lost {
        assert_eq!(cached(&two.cache, *number).await, Some(6));
    }
    drop(two.alive);
}

#[tokio::test]
async fn a_server_that_is_down_costs_no_waiting() {
    let Some(mut server) = Server::start(&[]).await else { return };
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
    until_down(&cache, 1).await;
    let unreachable = || count("diptych_memcached_server_unreachable_total", Some(&server.address));
    let (begun, before) = (Instant::now(), unreachable());
    for number in 0..10_000 {
        assert!(cache.read(SEATS, slice::from_ref(&key(number))).await.is_err());
    }
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(10), "10,000 calls took {taken:?}");
    assert_eq!(unreachable() - before, 10_000);
    assert!(count("diptych_memcached_server_failures_total", Some(&server.address)) > 0);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_a_miss_until_it_is() {
    let Some(mut server) = Server::start(&[]).await else { return };
    server.kill();
    let cache = open(&config(&[&server.address])).await;
    let error = cache.read(SEATS, &[key(1)]).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None, "{error}");
    assert!(server.restart().await);
    until_reached(&cache, 1).await;
    refresh(&cache, 2, 5).await;
    assert_eq!(cached(&cache, 2).await, Some(5));
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_a_miss() {
    // Too long to be one, so that nobody is asked for it.
    let cache = open(&config(&[&format!("{}:11211", "h".repeat(64))])).await;
    until_down(&cache, 1).await;
    assert!(cache.read(SEATS, &[key(1)]).await.is_err());
    let nothing = cache.read(SEATS, &[]).await.unwrap();
    assert!(nothing.is_empty(), "nothing can be read from anywhere");
}

#[tokio::test]
async fn a_restart_that_nobody_met_is_no_failure() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let cache = open(&config(&[&server.address])).await;
    refresh(&cache, 1, 5).await;
    server.kill();
    assert!(server.restart().await);
    // The connection has come to its end, which says nothing about the server.
    assert_eq!(cached(&cache, 1).await, None);
    refresh(&cache, 1, 6).await;
    assert_eq!(cached(&cache, 1).await, Some(6));
}

/// A stopped server keeps its rows, and finds what was sent to it in the meantime.
#[tokio::test]
async fn what_a_stopped_server_had_is_not_told_when_it_goes_on() {
    let Some(server) = Server::start(&[]).await else { return };
    let mut config = config(&[&server.address]);
    config.request_timeout = SOON;
    config.connect_timeout = SOON;
    counters::install();
    let cache = open(&config).await;
    until("a connection", async || cache.refresh(SEATS, &[(key(1), row(5)), (key(2), row(5))]).await.is_ok()).await;
    until("the rows", async || cached(&cache, 1).await == Some(5) && cached(&cache, 2).await == Some(5)).await;
    server.pause().await;
    // Readers go to the read database, which has a newer row by now, and tell it.
    assert!(cache.refresh(SEATS, &[(key(1), row(6))]).await.is_err());
    until_down(&cache, 1).await;
    let before = count("diptych_memcached_disbelieved_total", None);
    server.resume();
    until_reached(&cache, 3).await;
    assert_ne!(cached(&cache, 1).await, Some(5), "the row that could not be refreshed");
    assert_eq!(cached(&cache, 2).await, None, "a row that may have been told in a newer state");
    assert!(count("diptych_memcached_disbelieved_total", None) > before);
    // Life goes on.
    refresh(&cache, 2, 7).await;
    assert_eq!(cached(&cache, 2).await, Some(7));
    let CacheRead::Miss(lease) = look(&cache, 4).await else { panic!("it was never there") };
    assert!(cache.fill(SEATS, &key(4), lease, row(1)).await.unwrap());
    assert_eq!(cached(&cache, 4).await, Some(1));
}

/// The floor below which rows are not believed must not outlive the server's counter.
#[tokio::test]
async fn a_server_that_was_stopped_and_then_restarted_is_believed_again() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let mut config = config(&[&server.address]);
    config.request_timeout = SOON;
    config.connect_timeout = SOON;
    let cache = open(&config).await;
    until("a connection", async || cache.refresh(SEATS, &[(key(1), row(5))]).await.is_ok()).await;
    // Far up.
    for number in 0..200 {
        until("a row", async || cache.refresh(SEATS, &[(key(number), row(5))]).await.is_ok()).await;
    }
    server.pause().await;
    until_down(&cache, 1).await;
    server.resume();
    until_reached(&cache, 1).await;
    server.kill();
    assert!(server.restart().await);
    until("a new row", async || cache.refresh(SEATS, &[(key(1), row(6))]).await.is_ok()).await;
    until("belief", async || cached(&cache, 1).await == Some(6)).await;
}

/// A server that greets and does nothing else is found out, and is left alone for longer each time.
#[tokio::test]
async fn a_server_that_only_greets_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(&[&listener.local_addr().unwrap().to_string()]);
    config.request_timeout = Duration::from_millis(20);
    config.reconnect_delay_min = Duration::from_millis(10);
    config.reconnect_delay_max = Duration::from_secs(60);
    let greeted = Arc::new(Mutex::new(Vec::new()));
    let mut greeting = JoinSet::new();
    let note = Arc::clone(&greeted);
    greeting.spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(b"HD c1\r\n").await.unwrap();
            note.lock().push(Instant::now());
            open.push(stream);
        }
    });
    let cache = open(&config).await;
    until_down(&cache, 1).await;
    until("the seventh connection", async || {
        let _ = cache.read(SEATS, &[key(1)]).await;
        greeted.lock().len() >= 7
    })
    .await;
    let times = greeted.lock().clone();
    let last = times[6] - times[5];
    assert!(last >= Duration::from_millis(100), "it was left alone for {last:?}");
}
