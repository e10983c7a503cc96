//! Who may fill, and for how long.

use std::{collections::HashSet, sync::Arc, time::Duration};

use diptych_kernel::ports::{CacheRead, FillLease, ViewCache};
use diptych_memcached::MemcachedConfig;
use memcache::exp::Meta;
use tokio::task::JoinSet;

use crate::{
    server::Server,
    stage::{
        SEATS, bare, cached, config, invalidate, key, lease, look, open, refresh, row, server_key, shared_server,
        until, until_reached,
    },
};

const READERS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_readers_one_fills() {
    let Some(server) = shared_server() else { return };
    let config = MemcachedConfig { lease_ttl: Duration::from_secs(60), ..config(&[&server]) };
    let handles = [Arc::new(open(&config).await), Arc::new(open(&config).await)];
    let mut reading = JoinSet::new();
    for reader in 0..READERS {
        let cache = Arc::clone(&handles[reader % handles.len()]);
        reading.spawn(async move { (cache.clone(), look(&cache, 1).await) });
    }
    let (mut leases, mut filling) = (Vec::new(), 0);
    for (cache, read) in reading.join_all().await {
        match read {
            CacheRead::Miss(lease) => leases.push((cache, lease)),
            CacheRead::Filling => filling += 1,
            CacheRead::Hit(row) => panic!("nobody has put {row:?}"),
        }
    }
    assert_eq!((leases.len(), filling), (1, READERS - 1));
    let (cache, lease) = leases.remove(0);
    assert!(cache.fill(SEATS, &key(1), lease, row(3)).await.unwrap());
    for cache in &handles {
        assert_eq!(cached(cache, 1).await, Some(3));
    }
}

#[tokio::test]
async fn a_lease_whose_holder_died_goes_to_the_next() {
    let Some(server) = shared_server() else { return };
    let config = MemcachedConfig { lease_ttl: Duration::from_millis(1), ..config(&[&server]) };
    let (dead, next) = (open(&config).await, open(&config).await);
    let abandoned = lease(&dead, 1).await;
    let mut new = None;
    until("the next lease", async || match look(&next, 1).await {
        CacheRead::Miss(lease) => new.replace(lease).is_none(),
        CacheRead::Filling => false,
        CacheRead::Hit(row) => panic!("nobody has put {row:?}"),
    })
    .await;
    assert!(!dead.fill(SEATS, &key(1), abandoned, row(2)).await.unwrap(), "it was not dead, but it was too late");
    // Between this look and that fill it may have gone to yet another one, so the fill is only tried.
    let taken = next.fill(SEATS, &key(1), new.unwrap(), row(3)).await.unwrap();
    assert_eq!(cached(&next, 1).await, taken.then_some(3));
}

#[tokio::test]
async fn a_fill_after_the_placeholder_was_lost_is_refused() {
    let Some(server) = shared_server() else { return };
    let config = config(&[&server]);
    let (cache, meddler) = (open(&config).await, bare(&server).await);
    let given = lease(&cache, 1).await;
    // As an eviction would.
    assert!(meddler.delete(server_key(&config, 1)).send().await.unwrap().applied());
    assert!(!cache.fill(SEATS, &key(1), given, row(3)).await.unwrap());
    assert_eq!(cached(&cache, 1).await, None);
}

/// A server counts its items from 1 again when it starts, so the same number comes up for another placeholder.
#[tokio::test]
async fn a_lease_from_before_a_restart_fills_nothing() {
    let Some(mut server) = Server::start(&[]).await else { return };
    let config = config(&[&server.address]);
    let (slow, other) = (open(&config).await, open(&config).await);
    until_reached(&other, 9).await;
    let number_of = async |server: &str| {
        let looker = bare(server).await;
        looker.get(server_key(&config, 1)).meta(Meta::NONE.cas()).send().await.unwrap().item.cas.unwrap()
    };
    let old = lease(&slow, 1).await;
    let old_number = number_of(&server.address).await;
    server.kill();
    assert!(server.restart().await);
    // Another reader gets the lease for the very item number.
    until_reached(&other, 1).await;
    let mut new = None;
    until("the same number", async || {
        invalidate(&other, 1).await;
        new = Some(lease(&other, 1).await);
        number_of(&server.address).await >= old_number
    })
    .await;
    assert_eq!(number_of(&server.address).await, old_number, "the numbers were passed by");
    // It may be told that the connection is gone first.
    until("an answer", async || match slow.fill(SEATS, &key(1), old, row(3)).await {
        Ok(taken) => {
            assert!(!taken, "an old lease was taken for a new one");
            true
        }
        Err(_) => false,
    })
    .await;
    // What it could not do it makes up for by forgetting the key, so the new lease may be gone as well.
    let taken = other.fill(SEATS, &key(1), new.unwrap(), row(4)).await.unwrap();
    assert_eq!(cached(&other, 1).await, taken.then_some(4));
}

#[tokio::test]
async fn leases_differ_and_a_made_up_one_is_good_for_nothing() {
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
    for made_up in [1, 2, u64::MAX, leases[1].0, leases[0].0 + 1].map(FillLease) {
        assert!(!cache.fill(SEATS, &keys[0], made_up, row(3)).await.unwrap(), "{made_up:?}");
    }
    assert!(cache.fill(SEATS, &keys[0], leases[0], row(3)).await.unwrap());
}

#[tokio::test]
async fn a_refresh_may_leave_alone_what_is_not_cached() {
    let Some(server) = shared_server() else { return };
    let config = MemcachedConfig { refresh_puts_absent: false, ..config(&[&server]) };
    let cache = open(&config).await;
    refresh(&cache, 1, 5).await;
    let given = lease(&cache, 1).await;
    // The reader that waits for it is served all the same.
    refresh(&cache, 1, 6).await;
    assert!(!cache.fill(SEATS, &key(1), given, row(5)).await.unwrap());
    assert_eq!(cached(&cache, 1).await, Some(6));
}
