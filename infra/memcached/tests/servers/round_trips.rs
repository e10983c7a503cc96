//! The number of round trips per call.

use diptych_kernel::ports::{CacheRead, ViewCache};
use futures::future::join_all;

use crate::{
    harness::{SEATS, config, key, lease, open, read_one, row, shared_server},
    proxy::Proxy,
};

const ROWS: usize = 100;

#[tokio::test]
async fn a_hundred_keys_are_read_in_one_round_trip() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    // Opens the connection.
    read_one(&cache, ROWS).await;
    let keys: Vec<_> = (0..ROWS).map(key).collect();
    let before = proxy.round_trips();
    let missed = cache.read(SEATS, &keys).await.unwrap();
    assert!(missed.iter().all(|read| matches!(read, CacheRead::Miss(_))), "{missed:?}");
    assert_eq!(proxy.round_trips() - before, 1, "misses, with leases for all keys");

    let rows: Vec<_> = keys.iter().map(|key| (key.clone(), row(7))).collect();
    cache.refresh(SEATS, &rows).await.unwrap();
    assert_eq!(proxy.round_trips() - before, 3, "a refresh reads and then stores");

    let read = cache.read(SEATS, &keys).await.unwrap();
    assert!(read.iter().all(|read| *read == CacheRead::Hit(row(7))), "{read:?}");
    assert_eq!(proxy.round_trips() - before, 4, "hits");

    cache.refresh(SEATS, &rows).await.unwrap();
    assert_eq!(proxy.round_trips() - before, 5, "nothing is stored that is cached already");

    cache.invalidate(SEATS, &keys).await.unwrap();
    assert_eq!(proxy.round_trips() - before, 6);
}

#[tokio::test]
async fn a_miss_and_its_fill_are_two_round_trips() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    read_one(&cache, 1).await;
    let before = proxy.round_trips();
    let lease = lease(&cache, 2).await;
    assert!(cache.fill(SEATS, &key(2), lease, row(1)).await.unwrap());
    assert_eq!(proxy.round_trips() - before, 2);
}

#[tokio::test]
async fn concurrent_callers_share_round_trips() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    read_one(&cache, 0).await;
    let before = proxy.round_trips();
    // On one thread: all calls are queued before the first is answered.
    join_all((0..ROWS).map(|number| read_one(&cache, number))).await;
    assert!(proxy.round_trips() - before <= 3, "{} round trips", proxy.round_trips() - before);
}

#[tokio::test]
async fn a_large_refresh_takes_few_round_trips() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    read_one(&cache, 0).await;
    let rows: Vec<_> = (0..5_000).map(|number| (key(number), row(7))).collect();
    let before = proxy.round_trips();
    cache.refresh(SEATS, &rows).await.unwrap();
    let round_trips = proxy.round_trips() - before;
    assert!(round_trips <= 60, "{round_trips} round trips");
    let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
    let read = cache.read(SEATS, &keys).await.unwrap();
    assert!(read.iter().all(|read| *read == CacheRead::Hit(row(7))));
}
