//! Leases: which reader may fill a key, and for how long.

use std::{collections::HashSet, sync::Arc, time::Duration};

use diptych_kernel::ports::{CacheRead, FillLease, ViewCache};
use diptych_memcached::MemcachedConfig;
use memcache::exp::Meta;
use tokio::task::JoinSet;

use crate::{
    harness::{
        SEATS, bare_client_of, cached_position, config, invalidate, key, lease, open, read_one, refresh, row,
        server_key, shared_server, wait_until, wait_until_reachable,
    },
    server::MemcachedServer,
};

const READERS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_of_a_thousand_readers_gets_the_lease() {
    let Some(server) = shared_server() else { return };
    let config = MemcachedConfig { lease_ttl: Duration::from_secs(60), ..config(&[&server]) };
    let handles = [Arc::new(open(&config).await), Arc::new(open(&config).await)];
    let mut reading = JoinSet::new();
    for reader in 0..READERS {
        let cache = Arc::clone(&handles[reader % handles.len()]);
        reading.spawn(async move { (cache.clone(), read_one(&cache, 1).await) });
    }
    let (mut leases, mut filling) = (Vec::new(), 0);
    for (cache, read) in reading.join_all().await {
        match read {
            CacheRead::Miss(lease) => leases.push((cache, lease)),
            CacheRead::Filling => filling += 1,
            CacheRead::Hit(row) => panic!("unexpected row {row:?}"),
        }
    }
    assert_eq!((leases.len(), filling), (1, READERS - 1));
    let (cache, lease) = leases.remove(0);
    assert!(cache.fill(SEATS, &key(1), lease, row(3)).await.unwrap());
    for cache in &handles {
        assert_eq!(cached_position(cache, 1).await, Some(3));
    }
}

#[tokio::test]
async fn an_abandoned_lease_expires_and_the_next_reader_gets_one() {
    let Some(server) = shared_server() else { return };
    let config = MemcachedConfig { lease_ttl: Duration::from_millis(1), ..config(&[&server]) };
    let (abandoning, next) = (open(&config).await, open(&config).await);
    let abandoned = lease(&abandoning, 1).await;
    let mut new = None;
    wait_until("the next lease", async || match read_one(&next, 1).await {
        CacheRead::Miss(lease) => new.replace(lease).is_none(),
        CacheRead::Filling => false,
        CacheRead::Hit(row) => panic!("unexpected row {row:?}"),
    })
    .await;
    assert!(
        !abandoning.fill(SEATS, &key(1), abandoned, row(2)).await.unwrap(),
        "a fill with an expired lease was accepted"
    );
    // The new lease may expire before this fill too, so the fill may be refused.
    let taken = next.fill(SEATS, &key(1), new.unwrap(), row(3)).await.unwrap();
    assert_eq!(cached_position(&next, 1).await, taken.then_some(3));
}

#[tokio::test]
async fn a_fill_after_the_placeholder_was_lost_is_refused() {
    let Some(server) = shared_server() else { return };
    let config = config(&[&server]);
    let (cache, bare_client) = (open(&config).await, bare_client_of(&server).await);
    let granted = lease(&cache, 1).await;
    // Like an eviction.
    assert!(bare_client.delete(server_key(&config, 1)).send().await.unwrap().applied());
    assert!(!cache.fill(SEATS, &key(1), granted, row(3)).await.unwrap());
    assert_eq!(cached_position(&cache, 1).await, None);
}

/// A server counts its items from 1 again when it starts, so another placeholder gets the same CAS unique.
#[tokio::test]
async fn a_lease_from_before_a_restart_fills_nothing() {
    let Some(mut server) = MemcachedServer::start(&[]).await else { return };
    let config = config(&[&server.address]);
    let (slow, other) = (open(&config).await, open(&config).await);
    wait_until_reachable(&other, 9).await;
    let cas_of = async |server: &str| {
        let bare_client = bare_client_of(server).await;
        bare_client.get(server_key(&config, 1)).meta(Meta::NONE.cas()).send().await.unwrap().item.cas.unwrap()
    };
    let old = lease(&slow, 1).await;
    let old_cas = cas_of(&server.address).await;
    server.kill();
    assert!(server.restart().await);
    // Another reader gets a lease with the same CAS unique.
    wait_until_reachable(&other, 1).await;
    let mut new = None;
    wait_until("the same CAS unique", async || {
        invalidate(&other, 1).await;
        new = Some(lease(&other, 1).await);
        cas_of(&server.address).await >= old_cas
    })
    .await;
    assert_eq!(cas_of(&server.address).await, old_cas, "the old CAS unique was skipped");
    // The first call may fail, because the connection was lost.
    wait_until("an answer", async || match slow.fill(SEATS, &key(1), old, row(3)).await {
        Ok(taken) => {
            assert!(!taken, "an old lease was accepted as a new one");
            true
        }
        Err(_) => false,
    })
    .await;
    // The failed call may have invalidated the key afterwards, so the new lease may be gone as well.
    let taken = other.fill(SEATS, &key(1), new.unwrap(), row(4)).await.unwrap();
    assert_eq!(cached_position(&other, 1).await, taken.then_some(4));
}

#[tokio::test]
async fn leases_are_distinct_and_an_invented_lease_is_refused() {
    let Some(server) = shared_server() else { return };
    let cache = open(&config(&[&server])).await;
    let keys: Vec<_> = (0..200).map(key).collect();
    let misses = cache.read(SEATS, &keys).await.unwrap().into_iter();
    let leases: Vec<_> = misses
        .map(|read| match read {
            CacheRead::Miss(lease) => lease,
            other => panic!("a miss was expected: {other:?}"),
        })
        .collect();
    let different: HashSet<_> = leases.iter().map(|lease| lease.0).collect();
    assert_eq!(different.len(), keys.len());
    for invented in [1, 2, u64::MAX, leases[1].0, leases[0].0 + 1].map(FillLease) {
        assert!(!cache.fill(SEATS, &keys[0], invented, row(3)).await.unwrap(), "{invented:?}");
    }
    assert!(cache.fill(SEATS, &keys[0], leases[0], row(3)).await.unwrap());
}

#[tokio::test]
async fn a_refresh_can_be_configured_to_skip_absent_keys() {
    let Some(server) = shared_server() else { return };
    let config = MemcachedConfig { refresh_puts_absent: false, ..config(&[&server]) };
    let cache = open(&config).await;
    refresh(&cache, 1, 5).await;
    let granted = lease(&cache, 1).await;
    // It still replaces a placeholder, so a reader's lease ends.
    refresh(&cache, 1, 6).await;
    assert!(!cache.fill(SEATS, &key(1), granted, row(5)).await.unwrap());
    assert_eq!(cached_position(&cache, 1).await, Some(6));
}
