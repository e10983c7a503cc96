//! Handles that are cut off from a server that other handles reach (G7).
//!
//! The server has a row at position 5, the read database has it at 6. A reader that could not reach the cache has
//! returned the row of the read database, so from then on it must not return the cached one.

use std::time::Duration;

use diptych_kernel::ports::{CacheRead, FillLease, ViewCache};
use diptych_memcached::{MemcachedConfig, MemcachedViewCache};
use futures::FutureExt;

use crate::{
    counters::{self, count},
    harness::{
        SEATS, cached_position, config, key, lease, open, read_one, refresh, row, shared_server, wait_until,
        wait_until_down, wait_until_reachable,
    },
    proxy::{Network, Proxy},
    server::SHORT_TIMEOUT,
};

/// Two handles to the same keys, one of them through a network that can be broken.
struct PartitionHarness {
    proxy: Proxy,
    cut_off: MemcachedViewCache,
    other: MemcachedViewCache,
}

impl PartitionHarness {
    async fn start(change: impl FnOnce(&mut MemcachedConfig)) -> Option<Self> {
        let server = shared_server()?;
        counters::install();
        let proxy = Proxy::start(&server).await;
        let mut direct = config(&[&server]);
        change(&mut direct);
        let through = MemcachedConfig { servers: vec![proxy.address.clone()], ..direct.clone() };
        let (cut_off, other) = (open(&through).await, open(&direct).await);
        let harness = Self { proxy, cut_off, other };
        refresh(&harness.other, 1, 5).await;
        wait_until("the row", async || cached_position(&harness.cut_off, 1).await == Some(5)).await;
        Some(harness)
    }
}

#[tokio::test]
async fn a_lost_refresh_becomes_an_invalidation() {
    let Some(harness) = PartitionHarness::start(|_| {}).await else { return };
    harness.proxy.set(Network::Broken);
    assert!(harness.cut_off.refresh(SEATS, &[(key(1), row(6))]).await.is_err());
    // The old row is still cached, with its age.
    assert_eq!(cached_position(&harness.other, 1).await, Some(5));
    harness.proxy.set(Network::Works);
    // The pending invalidation runs without a further call.
    wait_until("the old row to be invalidated", async || cached_position(&harness.other, 1).await.is_none()).await;
    let completed = || count("diptych_memcached_pending_invalidations_completed_total", Some(&harness.proxy.address));
    wait_until("the invalidation to be counted", async || completed() > 0).await;
}

#[tokio::test]
async fn a_lost_invalidation_is_repeated() {
    let Some(harness) = PartitionHarness::start(|_| {}).await else { return };
    let granted = lease(&harness.other, 2).await;
    harness.proxy.set(Network::Broken);
    assert!(harness.cut_off.invalidate(SEATS, &[key(1), key(2)]).await.is_err());
    harness.proxy.set(Network::Works);
    wait_until("the old row to be invalidated", async || cached_position(&harness.other, 1).await.is_none()).await;
    assert!(!harness.other.fill(SEATS, &key(2), granted, row(5)).await.unwrap(), "the lease must have ended too");
}

#[tokio::test]
async fn a_reader_that_was_cut_off_does_not_return_the_old_row() {
    let Some(harness) = PartitionHarness::start(|_| {}).await else { return };
    harness.proxy.set(Network::Broken);
    assert!(harness.cut_off.read(SEATS, &[key(1)]).await.is_err());
    harness.proxy.set(Network::Works);
    wait_until_reachable(&harness.cut_off, 9).await;
    assert_eq!(cached_position(&harness.cut_off, 1).await, None);
}

#[tokio::test]
async fn a_row_whose_read_timed_out_is_not_returned_later() {
    let change = |config: &mut MemcachedConfig| {
        config.request_timeout = SHORT_TIMEOUT;
        config.connect_timeout = SHORT_TIMEOUT;
    };
    let Some(harness) = PartitionHarness::start(change).await else { return };
    harness.proxy.set(Network::Stalls);
    assert!(harness.cut_off.read(SEATS, &[key(1)]).await.is_err());
    harness.proxy.set(Network::Works);
    let mut read = Vec::new();
    wait_until("an answer", async || match harness.cut_off.read(SEATS, &[key(1)]).await {
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
async fn a_row_whose_invalidation_was_cancelled_is_not_returned_later() {
    let Some(harness) = PartitionHarness::start(|_| {}).await else { return };
    harness.proxy.set(Network::Stalls);
    // As the query service does after a read that it has cancelled at its own timeout.
    assert_eq!(harness.cut_off.read(SEATS, &[key(1)]).now_or_never().map(|_| ()), None);
    assert_eq!(harness.cut_off.invalidate(SEATS, &[key(1)]).now_or_never().map(|_| ()), None);
    harness.proxy.set(Network::Works);
    assert_eq!(cached_position(&harness.cut_off, 1).await, None);
}

/// A caller that is gone has answered nothing.
#[tokio::test]
async fn a_row_whose_reader_is_gone_stays_cached() {
    let Some(harness) = PartitionHarness::start(|_| {}).await else { return };
    harness.proxy.set(Network::Stalls);
    assert_eq!(harness.cut_off.read(SEATS, &[key(1)]).now_or_never().map(|_| ()), None);
    harness.proxy.set(Network::Works);
    assert_eq!(cached_position(&harness.cut_off, 1).await, Some(5));
}

#[tokio::test]
async fn more_keys_than_can_be_pending_are_not_returned_later_either() {
    let Some(harness) = PartitionHarness::start(|_| {}).await else { return };
    let numbers: Vec<_> = (1..20_000).collect();
    let rows: Vec<_> = numbers.iter().map(|number| (key(*number), row(5))).collect();
    harness.other.refresh(SEATS, &rows).await.unwrap();
    let keys: Vec<_> = numbers.iter().map(|number| key(*number)).collect();
    let hits = |reads: Vec<CacheRead>| reads.iter().filter(|read| matches!(read, CacheRead::Hit(_))).count();
    assert_eq!(hits(harness.cut_off.read(SEATS, &keys).await.unwrap()), keys.len());
    let before = count("diptych_memcached_possibly_stale_total", None);
    harness.proxy.set(Network::Stalls);
    assert_eq!(harness.cut_off.invalidate(SEATS, &keys).now_or_never().map(|_| ()), None);
    harness.proxy.set(Network::Works);
    assert_eq!(hits(harness.cut_off.read(SEATS, &keys).await.unwrap()), 0);
    let dropped = count("diptych_memcached_pending_invalidations_dropped_total", Some(&harness.proxy.address));
    assert!(dropped > 0, "the test has to use more keys");
    assert!(count("diptych_memcached_possibly_stale_total", None) > before);
}

/// Commands that a handle sent before it timed out arrive when the network works again.
#[tokio::test]
async fn a_command_that_arrives_late_replaces_no_newer_row() {
    let change = |config: &mut MemcachedConfig| {
        config.request_timeout = SHORT_TIMEOUT;
        config.connect_timeout = SHORT_TIMEOUT;
        config.reconnect_delay_min = Duration::from_secs(60);
        config.reconnect_delay_max = Duration::from_secs(60);
    };
    let Some(harness) = PartitionHarness::start(change).await else { return };
    let granted = lease(&harness.cut_off, 2).await;
    harness.proxy.set(Network::Stalls);
    assert!(harness.cut_off.fill(SEATS, &key(2), granted, row(5)).await.is_err());
    wait_until_down(&harness.cut_off, 1).await;
    refresh(&harness.other, 2, 6).await;
    harness.proxy.set(Network::Works);
    // The late fill passes through the proxy on a connection of its own; whether or not it is accepted, the newer row
    // stays.
    for _ in 0..100 {
        let found = cached_position(&harness.other, 2).await;
        assert!(found.is_none_or(|found| found == 6), "{found:?}");
    }
}

#[tokio::test]
async fn a_broken_connection_is_reopened_without_a_failure() {
    let Some(harness) = PartitionHarness::start(|_| {}).await else { return };
    for position in 6..20 {
        harness.proxy.break_once();
        refresh(&harness.cut_off, 1, position).await;
        assert_eq!(cached_position(&harness.other, 1).await, Some(position));
        harness.proxy.break_once();
        assert!(matches!(read_one(&harness.cut_off, 1).await, CacheRead::Hit(_)));
    }
}

/// While a reader reads the read database, the server comes back, and another reader fills the key with an older row.
#[tokio::test]
async fn a_fill_of_an_unreachable_key_invalidates_it_once_more() {
    let Some(server) = shared_server() else { return };
    let (proxy, steady) = (Proxy::start(&server).await, Proxy::start(&server).await);
    let config = config(&[&proxy.address, &steady.address]);
    let (cache, other) = (open(&config).await, open(&config).await);
    let keys: Vec<_> = (0..20).map(key).collect();
    proxy.set(Network::Broken);
    wait_until("one server to be unreachable", async || {
        let reads = cache.read(SEATS, &keys).await.unwrap();
        reads.iter().any(|read| matches!(read, CacheRead::Miss(FillLease(0))))
    })
    .await;
    let reads = cache.read(SEATS, &keys).await.unwrap();
    let number = reads.iter().position(|read| matches!(read, CacheRead::Miss(FillLease(0)))).unwrap();
    proxy.set(Network::Works);
    wait_until_reachable(&cache, number).await;
    wait_until_reachable(&other, number).await;
    refresh(&other, number, 5).await;
    assert_eq!(cached_position(&cache, number).await, Some(5));
    assert!(cache.fill(SEATS, &key(number), FillLease(0), row(6)).await.unwrap());
    assert_eq!(cached_position(&cache, number).await, None);
}
