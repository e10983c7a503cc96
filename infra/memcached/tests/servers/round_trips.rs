//! How often a server is asked.

use diptych_kernel::ports::{CacheRead, ViewCache};
use futures::future::join_all;

use crate::{
    proxy::Proxy,
    stage::{SEATS, config, key, lease, look, open, row, shared_server},
};

const ROWS: usize = 100;

#[tokio::test]
async fn a_hundred_keys_are_read_in_one_round_trip() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    // The connection is made.
    look(&cache, ROWS).await;
    let keys: Vec<_> = (0..ROWS).map(key).collect();
    let before = proxy.turns();
    let missed = cache.read(SEATS, &keys).await.unwrap();
    assert!(missed.iter().all(|read| matches!(read, CacheRead::Miss(_))), "{missed:?}");
    assert_eq!(proxy.turns() - before, 1, "misses, with leases for all of them");

    let rows: Vec<_> = keys.iter().map(|key| (key.clone(), row(7))).collect();
    cache.refresh(SEATS, &rows).await.unwrap();
    assert_eq!(proxy.turns() - before, 3, "a refresh looks and then puts");

    let read = cache.read(SEATS, &keys).await.unwrap();
    assert!(read.iter().all(|read| *read == CacheRead::Hit(row(7))), "{read:?}");
    assert_eq!(proxy.turns() - before, 4, "hits");

    cache.refresh(SEATS, &rows).await.unwrap();
    assert_eq!(proxy.turns() - before, 5, "nothing is put that is there");

    cache.invalidate(SEATS, &keys).await.unwrap();
    assert_eq!(proxy.turns() - before, 6);
}

#[tokio::test]
async fn a_miss_and_its_fill_are_two_round_trips() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    look(&cache, 1).await;
    let before = proxy.turns();
    let lease = lease(&cache, 2).await;
    assert!(cache.fill(SEATS, &key(2), lease, row(1)).await.unwrap());
    assert_eq!(proxy.turns() - before, 2);
}

#[tokio::test]
async fn callers_share_round_trips() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    look(&cache, 0).await;
    let before = proxy.turns();
    // On one thread: all of them ask before the first is answered.
    join_all((0..ROWS).map(|number| look(&cache, number))).await;
    assert!(proxy.turns() - before <= 3, "{} round trips", proxy.turns() - before);
}

/// Thousands of rows a second are no round trip each.
#[tokio::test]
async fn a_large_refresh_is_a_few_round_trips() {
    let Some(server) = shared_server() else { return };
    let proxy = Proxy::start(&server).await;
    let cache = open(&config(&[&proxy.address])).await;
    look(&cache, 0).await;
    let rows: Vec<_> = (0..5_000).map(|number| (key(number), row(7))).collect();
    let before = proxy.turns();
    cache.refresh(SEATS, &rows).await.unwrap();
    let turns = proxy.turns() - before;
    assert!(turns <= 60, "{turns} round trips");
    let keys: Vec<_> = rows.into_iter().map(|(key, _)| key).collect();
    let read = cache.read(SEATS, &keys).await.unwrap();
    assert!(read.iter().all(|read| *read == CacheRead::Hit(row(7))));
}
