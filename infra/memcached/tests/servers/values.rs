//! Values that can be cached, and reads of values that cannot.

use std::time::Duration;

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, ViewCache},
};
use diptych_memcached::MemcachedConfig;
use memcache::exp::Meta;

use crate::{
    counters::{self, count},
    harness::{
        SEATS, bare_client_of, cached_position, config, key, lease, open, read_one, refresh, row, row_of, server_key,
        shared_server,
    },
    server::MemcachedServer,
};

fn body(bytes: usize) -> Bytes {
    (0..bytes).map(|number| u8::try_from(number % 251).unwrap()).collect()
}

#[tokio::test]
async fn bodies_of_every_size_are_read_as_written() {
    // A server of its own, with room for all of them.
    let Some(server) = MemcachedServer::start(&[]).await else { return };
    let config = config(&[&server.address]);
    let (cache, other) = (open(&config).await, open(&config).await);
    let sizes = [0, 1, 25, 26, 27, 8_191, 8_192, 100_000, config.value_bytes_max - 26];
    let mut rows: Vec<_> = sizes.iter().map(|size| row_of(3, Some(body(*size)))).collect();
    rows.push(row_of(3, None));
    let all: Vec<_> = rows.iter().enumerate().map(|(number, row)| (key(number), row.clone())).collect();
    cache.refresh(SEATS, &all).await.unwrap();
    let keys: Vec<_> = all.iter().map(|(key, _)| key.clone()).collect();
    let read = other.read(SEATS, &keys).await.unwrap();
    assert_eq!(read, rows.into_iter().map(CacheRead::Hit).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_large_rows_are_read_in_one_call() {
    let Some(server) = MemcachedServer::start(&[]).await else { return };
    let cache = open(&config(&[&server.address])).await;
    let rows: Vec<_> = (0..60).map(|number| (key(number), row_of(3, Some(body(200_000))))).collect();
    cache.refresh(SEATS, &rows).await.unwrap();
    let keys: Vec<_> = rows.iter().map(|(key, _)| key.clone()).collect();
    let reads = cache.read(SEATS, &keys).await.unwrap();
    assert!(reads.iter().all(|read| matches!(read, CacheRead::Hit(found) if *found == rows[0].1)));
}

#[tokio::test]
async fn a_row_that_is_too_large_is_not_cached() {
    let Some(server) = shared_server() else { return };
    counters::install();
    let config = MemcachedConfig { value_bytes_max: 1_026, ..config(&[&server]) };
    let cache = open(&config).await;
    let oversized = || count("diptych_memcached_oversized_total", None);
    let before = oversized();

    let (fits, too_large) = (row_of(3, Some(body(1_000))), row_of(3, Some(body(1_001))));
    let granted = lease(&cache, 1).await;
    assert!(cache.fill(SEATS, &key(1), granted, fits.clone()).await.unwrap());
    assert_eq!(read_one(&cache, 1).await, CacheRead::Hit(fits));

    let granted = lease(&cache, 2).await;
    assert!(
        cache.fill(SEATS, &key(2), granted, too_large.clone()).await.unwrap(),
        "a fill of a too large row ends its lease"
    );
    // No reader waits for the fill, and the used lease is not valid again.
    let next = lease(&cache, 2).await;
    assert!(!cache.fill(SEATS, &key(2), granted, too_large.clone()).await.unwrap());
    assert!(cache.fill(SEATS, &key(2), next, row(3)).await.unwrap());

    // The cached row is older than the one that is too large, so it is invalidated.
    refresh(&cache, 3, 2).await;
    cache.refresh(SEATS, &[(key(3), too_large), (key(4), row(3))]).await.unwrap();
    assert_eq!((cached_position(&cache, 3).await, cached_position(&cache, 4).await), (None, Some(3)));
    assert!(oversized() - before >= 3, "{} counted", oversized() - before);
}

#[tokio::test]
async fn a_row_that_a_server_refuses_does_not_affect_others() {
    let Some(server) = MemcachedServer::start(&["-I", "16k", "-o", "slab_chunk_max=8192"]).await else { return };
    counters::install();
    let cache = open(&config(&[&server.address])).await;
    let large = row_of(6, Some(body(50_000)));
    refresh(&cache, 2, 5).await;
    let rows: Vec<_> = (0..5).map(|number| (key(number), if number == 2 { large.clone() } else { row(6) })).collect();
    cache.refresh(SEATS, &rows).await.unwrap();
    for number in 0..5 {
        let found = cached_position(&cache, number).await;
        assert_eq!(found, (number != 2).then_some(6), "row {number}");
    }
    let granted = lease(&cache, 7).await;
    assert!(!cache.fill(SEATS, &key(7), granted, large).await.unwrap());
    // No reader waits for the fill.
    lease(&cache, 7).await;
    assert!(count("diptych_memcached_server_refusals_total", Some(&server.address)) >= 2);
}

#[tokio::test]
async fn garbage_is_a_miss_and_is_replaced() {
    let Some(server) = shared_server() else { return };
    counters::install();
    let config = config(&[&server]);
    let (cache, bare_client) = (open(&config).await, bare_client_of(&server).await);
    let undecodable = || count("diptych_memcached_undecodable_total", None);
    let header = |format: u8| [&[format], &[0; 24][..], &[1]].concat();
    let garbage = [Vec::new(), b"garbage".to_vec(), header(2), header(0xff), header(1)[..25].to_vec(), vec![b'x'; 500]];
    for (number, value) in garbage.iter().enumerate() {
        let before = undecodable();
        assert!(bare_client.set(server_key(&config, number), value).send().await.unwrap().applied());
        let granted = lease(&cache, number).await;
        assert!(undecodable() > before, "{value:?} was not counted");
        assert!(matches!(read_one(&cache, number).await, CacheRead::Filling));
        assert!(cache.fill(SEATS, &key(number), granted, row(3)).await.unwrap());
        assert_eq!(cached_position(&cache, number).await, Some(3));

        assert!(bare_client.set(server_key(&config, number), value).send().await.unwrap().applied());
        refresh(&cache, number, 2).await;
        assert_eq!(cached_position(&cache, number).await, Some(2), "garbage is never newer than a row");
    }
    // Several garbage values among rows.
    assert!(bare_client.set(server_key(&config, 1), b"garbage").send().await.unwrap().applied());
    assert!(bare_client.set(server_key(&config, 3), b"garbage").send().await.unwrap().applied());
    let keys: Vec<_> = (0..5).map(key).collect();
    let reads = cache.read(SEATS, &keys).await.unwrap();
    for (number, read) in reads.into_iter().enumerate() {
        let (CacheRead::Miss(lease), true) = (&read, number % 2 == 1) else {
            assert_eq!(read, CacheRead::Hit(row(2)));
            continue;
        };
        assert!(cache.fill(SEATS, &keys[number], *lease, row(4)).await.unwrap());
    }
}

#[tokio::test]
async fn keys_with_any_bytes_are_distinct() {
    let Some(server) = shared_server() else { return };
    let cache = open(&config(&[&server])).await;
    let view = ViewId { name: "a_view_with_the_longest_name____", generation: u16::MAX };
    let mut keys = Vec::new();
    for partition_key in
        ["g", "g:", "g%3A", "a b", "\u{e4}\n", &"g".repeat(255), &"%".repeat(255), &"\u{e4}".repeat(127)]
    {
        for sort_key in [&b""[..], b"\0", b":", b"g", b" \r\n", &[0xff; 255], &[b'g'; 255]] {
            keys.push(RowKey::new(partition_key, sort_key.to_vec()));
        }
    }
    let rows: Vec<_> = keys.iter().zip(1..).map(|(key, position)| (key.clone(), row(position))).collect();
    cache.refresh(view, &rows).await.unwrap();
    let read = cache.read(view, &keys).await.unwrap();
    assert_eq!(read, rows.into_iter().map(|(_, row)| CacheRead::Hit(row)).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_and_placeholders_have_the_configured_time_to_live() {
    let Some(server) = shared_server() else { return };
    let config =
        MemcachedConfig { ttl: Duration::from_secs(500), lease_ttl: Duration::from_secs(50), ..config(&[&server]) };
    let (cache, bare_client) = (open(&config).await, bare_client_of(&server).await);
    let ttl = async |number| {
        let item = bare_client.get(server_key(&config, number)).meta(Meta::NONE.ttl()).send().await.unwrap().item;
        item.ttl.unwrap()
    };
    let granted = lease(&cache, 1).await;
    assert!((45..=51).contains(&ttl(1).await));
    assert!(cache.fill(SEATS, &key(1), granted, row(3)).await.unwrap());
    refresh(&cache, 2, 3).await;
    for number in [1, 2] {
        assert!((480..=500).contains(&ttl(number).await));
    }
}

#[tokio::test]
async fn installations_with_different_prefixes_share_a_server() {
    let Some(server) = shared_server() else { return };
    let (mine, theirs) = (open(&config(&[&server])).await, open(&config(&[&server])).await);
    refresh(&mine, 1, 5).await;
    refresh(&theirs, 1, 3).await;
    assert_eq!((cached_position(&mine, 1).await, cached_position(&theirs, 1).await), (Some(5), Some(3)));
}
