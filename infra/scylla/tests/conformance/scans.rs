//! Scans of partition keys and of tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use bytes::Bytes;
use diptych_kernel::{
    domain::{RowKey, ViewId},
    ports::{Row, ViewStore},
    testing::{TestEnv, with_seed},
};
use diptych_scylla::ScyllaViewStore;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::test_env::{RawSession, ScyllaTestEnv, view, write};

#[tokio::test]
async fn scans_of_partition_keys_and_tables() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    a_partition_key_is_scanned_from_any_sort_key(&env).await;
    scans_combine_several_pages_of_the_server(&env).await;
    a_table_scan_resumes_from_any_key(&env).await;
    partition_keys_with_the_same_token_are_all_scanned(&env).await;
    env.remove().await;
}

/// Bytes of any length up to 255, of which many are prefixes of others.
fn random_sort_key(rng: &mut SmallRng) -> Vec<u8> {
    let length = *[0, 1, 1, 2, 3, 254, 255].get(rng.random_range(0..7)).unwrap();
    let first = *[0_u8, 0x7f, 0x80, 0xff].get(rng.random_range(0..4)).unwrap();
    let mut sort_key = vec![first; length];
    if let Some(last) = sort_key.last_mut() {
        *last = rng.random();
    }
    sort_key
}

async fn a_partition_key_is_scanned_from_any_sort_key(env: &ScyllaTestEnv) {
    let (store, table, seed) = (env.handle().await, view("scans"), 7);
    store.ensure_views(&[table]).await.unwrap();
    let scan = async {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut sort_keys: BTreeSet<_> = (0..120).map(|_| random_sort_key(&mut rng)).collect();
        sort_keys.extend([vec![], vec![0xff; 255], vec![0; 255]]);
        let mut live = BTreeMap::<Vec<u8>, Row>::new();
        let mut writes = Vec::new();
        for sort_key in &sort_keys {
            let body = rng.random_bool(0.6).then_some(&b"body"[..]);
            let row = write(table, &RowKey::new("group", sort_key.clone()), rng.random_range(1..1_000), body);
            live.extend(body.map(|_| (sort_key.clone(), row.row.clone())));
            writes.push(row);
        }
        store.write(&writes).await.unwrap();
        for _ in 0..40 {
            // From existing and from missing sort keys.
            let after = rng.random_bool(0.9).then(|| random_sort_key(&mut rng));
            let limit = *[0, 1, 2, 7, 50, 1_000].get(rng.random_range(0..6)).unwrap();
            let from = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
            let mut expected: Vec<_> = live
                .range((from, Bound::Unbounded))
                .map(|(sort_key, row)| (Bytes::copy_from_slice(sort_key), row.clone()))
                .collect();
            let more = expected.len() > limit;
            expected.truncate(limit);
            let page = store.scan(table, "group", after.as_deref(), limit).await.unwrap();
            assert_eq!((page.rows, page.more), (expected, more), "after {after:?} with limit {limit}");
        }
    };
    with_seed(seed, scan).await;
}

/// More rows than a page of the server, and a longer run of deleted ones.
async fn scans_combine_several_pages_of_the_server(env: &ScyllaTestEnv) {
    let (store, table) = (env.handle().await, view("pages"));
    store.ensure_views(&[table]).await.unwrap();
    let is_deleted = |number: u16| (100..1_400).contains(&number) || number >= 2_400;
    let key = |number: u16| RowKey::new("group", number.to_be_bytes().to_vec());
    let writes: Vec<_> = (0..2_500_u16)
        .map(|number| write(table, &key(number), 1, (!is_deleted(number)).then_some(&b"body"[..])))
        .collect();
    store.write(&writes).await.unwrap();
    let live: Vec<_> = (0..2_500).filter(|number| !is_deleted(*number)).map(|number| key(number).sort_key).collect();
    for limit in [99, 100, 101, live.len() - 1, live.len(), 5_000, usize::MAX] {
        let page = store.scan(table, "group", None, limit).await.unwrap();
        let found: Vec<_> = page.rows.into_iter().map(|(sort_key, _)| sort_key).collect();
        assert_eq!(found, live[..limit.min(live.len())], "with limit {limit}");
        assert_eq!(page.more, limit < live.len(), "with limit {limit}");
    }
    for limit in [2_499, 2_500, usize::MAX] {
        assert_eq!(store.scan_all(table, None, limit).await.unwrap().len(), limit.min(2_500));
    }
    let keys: Vec<_> = (0..2_500).map(key).collect();
    let expected: Vec<_> = writes.into_iter().map(|write| Some(write.row)).collect();
    assert!(store.read(table, &keys).await.unwrap() == expected, "reads by key");
}

/// Scans all rows, page by page.
async fn scan_table(store: &ScyllaViewStore, table: ViewId, limit: usize) -> Vec<RowKey> {
    let mut keys = Vec::<RowKey>::new();
    loop {
        let page = store.scan_all(table, keys.last(), limit).await.unwrap();
        if page.is_empty() {
            return keys;
        }
        assert!(page.len() <= limit);
        keys.extend(page.into_iter().map(|(key, _)| key));
    }
}

async fn a_table_scan_resumes_from_any_key(env: &ScyllaTestEnv) {
    let (store, other, table) = (env.handle().await, env.handle().await, view("audit"));
    store.ensure_views(&[table]).await.unwrap();
    let keys: BTreeSet<_> = (0..150_u8).map(|number| RowKey::new(&format!("{}", number / 3), vec![number])).collect();
    let writes: Vec<_> = keys.iter().map(|key| write(table, key, 1, None)).collect();
    store.write(&writes).await.unwrap();
    let order = scan_table(&store, table, 1_000).await;
    assert_eq!(order.iter().cloned().collect::<BTreeSet<_>>(), keys);
    assert_eq!(order.len(), keys.len(), "each row once");
    for limit in [1, 2, 7, 149, 150] {
        assert_eq!(scan_table(&other, table, limit).await, order, "with limit {limit}");
    }
    assert_eq!(store.scan_all(table, None, 0).await.unwrap(), []);
    // After missing keys: within a partition key, at its end, and with partition keys that do not exist.
    for missing in
        [RowKey::new("7", vec![21, 0]), RowKey::new("7", vec![0xff]), RowKey::single("x"), RowKey::single("yz")]
    {
        let rest: Vec<_> = store.scan_all(table, Some(&missing), 1_000).await.unwrap();
        let rest: Vec<_> = rest.into_iter().map(|(key, _)| key).collect();
        assert!(
            order.ends_with(&rest) && !rest.is_empty() && rest.len() < order.len(),
            "{} after {missing:?}",
            rest.len()
        );
        if missing.partition_key.as_ref() == "7" {
            assert_eq!(rest[0].partition_key.as_ref() == "7", missing.sort_key.len() == 2);
        }
    }
}

/// Partition keys may share a token, by chance or by design. These were found by a search.
async fn partition_keys_with_the_same_token_are_all_scanned(env: &ScyllaTestEnv) {
    const PARTITION_KEYS: [&str; 3] = ["the same token 1", "gelteS}%MpY@/l; ", ": Y#P4FrQQ'r[erY"];
    let (store, table) = (env.handle().await, view("tokens"));
    store.ensure_views(&[table]).await.unwrap();
    let neighbours = ["one", "two", "three", "four"];
    let keys: BTreeSet<_> = PARTITION_KEYS
        .iter()
        .chain(&neighbours)
        .flat_map(|partition_key| (0..3_u8).map(|number| RowKey::new(partition_key, vec![number])))
        .collect();
    let writes: Vec<_> = keys.iter().map(|key| write(table, key, 1, Some(b"body"))).collect();
    store.write(&writes).await.unwrap();
    let tokens: Vec<(i64,)> =
        RawSession::in_keyspace(&env.config).await.rows("SELECT DISTINCT token(partition_key) FROM tokens_g1").await;
    assert_eq!(
        tokens.into_iter().collect::<BTreeSet<_>>().len(),
        1 + neighbours.len(),
        "the partition keys do not share a token"
    );

    let order = scan_table(&store, table, 1_000).await;
    assert_eq!(order.len(), keys.len());
    for limit in [1, 2, 3, 4, 5] {
        let found = scan_table(&store, table, limit).await;
        assert_eq!(found, order, "with limit {limit}");
    }
}
