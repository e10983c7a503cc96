//! Handles that are cut off from a server that others reach (G7).
//!
//! The server has a row at position 5, the read database has it at 6. Whoever could not ask the cache has told the row of the read database, so
//! from then on it must not tell the one that is cached.

use std::time::Duration;

use diptych_kernel::ports::{CacheRead, FillLease, ViewCache};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use futures::FutureExt;

use crate::{
    counters::{self, count},
    proxy::{Network, Proxy},
    server::SOON,
    stage::{
        SEATS, cached, config, key, lease, look, open, refresh, row, shared_server, until, until_down, until_reached,
    },
};

/// Two handles to the same keys, one of them through a network that can be broken.
struct Stage {
    proxy: Proxy,
    cut_off: MemcachedViewCache,
    other: MemcachedViewCache,
}

impl Stage {
    async fn start(change: impl FnOnce(&mut MemcachedConfig)) -> Option<Self> {
        let server = shared_server()?;
        counters::install();
        let proxy = Proxy::start(&server).await;
        let mut direct = config(&[&server]);
        change(&mut direct);
        let through = MemcachedConfig { servers: vec![proxy.address.clone()], ..direct.clone() };
        let (cut_off, other) = (open(&through).await, open(&direct).await);
        let stage = Self { proxy, cut_off, other };
        refresh(&stage.other, 1, 5).await;
        until("the row", async || cached(&stage.cut_off, 1).await == Some(5)).await;
        Some(stage)
    }
}

#[tokio::test]
async fn a_lost_refresh_is_made_up_for() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    stage.proxy.set(Network::Broken);
    assert!(stage.cut_off.refresh(SEATS, &[(key(1), row(6))]).await.is_err());
    // It is there, and says how old it is.
    assert_eq!(cached(&stage.other, 1).await, Some(5));
    stage.proxy.set(Network::Works);
    // Nobody has to ask for it.
    until("the end of the old row", async || cached(&stage.other, 1).await.is_none()).await;
    let repaired = count("diptych_memcached_repaired_keys_total", Some(&stage.proxy.address));
    assert!(repaired > 0, "{repaired} keys repaired");
}

#[tokio::test]
async fn a_lost_invalidation_is_made_up_for() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    let given = lease(&stage.other, 2).await;
    stage.proxy.set(Network::Broken);
    assert!(stage.cut_off.invalidate(SEATS, &[key(1), key(2)]).await.is_err());
    stage.proxy.set(Network::Works);
    until("the end of the old row", async || cached(&stage.other, 1).await.is_none()).await;
    assert!(!stage.other.fill(SEATS, &key(2), given, row(5)).await.unwrap(), "the lease has ended too");
}

#[tokio::test]
async fn a_reader_that_was_cut_off_does_not_go_back() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    stage.proxy.set(Network::Broken);
    assert!(stage.cut_off.read(SEATS, &[key(1)]).await.is_err());
    stage.proxy.set(Network::Works);
    until_reached(&stage.cut_off, 9).await;
    assert_eq!(cached(&stage.cut_off, 1).await, None);
}

#[tokio::test]
async fn an_answer_that_took_too_long_is_not_believed_later() {
    let change = |config: &mut MemcachedConfig| {
        config.request_timeout = SOON;
        config.connect_timeout = SOON;
    };
    let Some(stage) = Stage::start(change).await else { return };
    stage.proxy.set(Network::Stalls);
    assert!(stage.cut_off.read(SEATS, &[key(1)]).await.is_err());
    stage.proxy.set(Network::Works);
    let mut read = Vec::new();
    until("an answer", async || match stage.cut_off.read(SEATS, &[key(1)]).await {
        Ok(answer) => {
            read = answer;
            true
        }
        Err(_) => false,
    })
    .await;
    assert!(matches!(read.as_slice(), [CacheRead::Miss(_) | CacheRead::Filling]), "{read:?}");
}

#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_not_believed_later() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    stage.proxy.set(Network::Stalls);
    // Asked, and given up: as the query service does when its own patience ends.
    assert_eq!(stage.cut_off.read(SEATS, &[key(1)]).now_or_never().map(|_| ()), None);
    stage.proxy.set(Network::Works);
    assert_eq!(cached(&stage.cut_off, 1).await, None);
}

#[tokio::test]
async fn more_keys_than_can_be_remembered_are_not_believed_later_either() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    let numbers: Vec<_> = (1..20_000).collect();
    let rows: Vec<_> = numbers.iter().map(|number| (key(*number), row(5))).collect();
    stage.other.refresh(SEATS, &rows).await.unwrap();
    let keys: Vec<_> = numbers.iter().map(|number| key(*number)).collect();
    let hits = |reads: Vec<CacheRead>| reads.iter().filter(|read| matches!(read, CacheRead::Hit(_))).count();
    assert_eq!(hits(stage.cut_off.read(SEATS, &keys).await.unwrap()), keys.len());
    stage.proxy.set(Network::Stalls);
    assert_eq!(stage.cut_off.read(SEATS, &keys).now_or_never().map(|_| ()), None);
    stage.proxy.set(Network::Works);
    assert_eq!(hits(stage.cut_off.read(SEATS, &keys).await.unwrap()), 0);
    let unrepaired = count("diptych_memcached_unrepaired_keys_total", Some(&stage.proxy.address));
    assert!(unrepaired > 0, "the test has to name more keys");
}

/// What a handle sent before it gave up arrives when the network works again.
#[tokio::test]
async fn what_arrives_late_replaces_nothing_newer() {
    let change = |config: &mut MemcachedConfig| {
        config.request_timeout = SOON;
        config.connect_timeout = SOON;
        config.reconnect_delay_min = Duration::from_secs(60);
        config.reconnect_delay_max = Duration::from_secs(60);
    };
    let Some(stage) = Stage::start(change).await else { return };
    let given = lease(&stage.cut_off, 2).await;
    stage.proxy.set(Network::Stalls);
    assert!(stage.cut_off.fill(SEATS, &key(2), given, row(5)).await.is_err());
    until_down(&stage.cut_off, 1).await;
    refresh(&stage.other, 2, 6).await;
    stage.proxy.set(Network::Works);
    // The late fill passes through the proxy on a connection of its own; whatever becomes of it, the row stays.
    for _ in 0..100 {
        let found = cached(&stage.other, 2).await;
        assert!(found.is_none_or(|found| found == 6), "{found:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_anew_without_a_failure() {
    let Some(stage) = Stage::start(|_| {}).await else { return };
    for position in 6..20 {
        stage.proxy.break_once();
        refresh(&stage.cut_off, 1, position).await;
        assert_eq!(cached(&stage.other, 1).await, Some(position));
        stage.proxy.break_once();
        assert!(matches!(look(&stage.cut_off, 1).await, CacheRead::Hit(_)));
    }
}

/// While a reader was at the read database, the server came back, and another reader filled the key with what it had read before.
#[tokio::test]
async fn what_was_out_of_reach_is_forgotten_once_more() {
    let Some(server) = shared_server() else { return };
    let (proxy, steady) = (Proxy::start(&server).await, Proxy::start(&server).await);
    let config = config(&[&proxy.address, &steady.address]);
    let (cache, other) = (open(&config).await, open(&config).await);
    let keys: Vec<_> = (0..20).map(key).collect();
    proxy.set(Network::Broken);
    until("the end of one server", async || {
        let reads = cache.read(SEATS, &keys).await.unwrap();
        reads.iter().any(|read| matches!(read, CacheRead::Miss(FillLease(0))))
    })
    .await;
    let reads = cache.read(SEATS, &keys).await.unwrap();
    let number = reads.iter().position(|read| matches!(read, CacheRead::Miss(FillLease(0)))).unwrap();
    proxy.set(Network::Works);
    until_reached(&cache, number).await;
    until_reached(&other, number).await;
    refresh(&other, number, 5).await;
    assert_eq!(cached(&cache, number).await, Some(5));
    assert!(cache.fill(SEATS, &key(number), FillLease(0), row(6)).await.unwrap());
    assert_eq!(cached(&cache, number).await, None);
}
