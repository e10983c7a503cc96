//! Scans of groups and of tables.

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

use crate::test_env::{Meddler, ScyllaTestEnv, view, write};

#[tokio::test]
async fn scans_of_groups_and_tables() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    a_group_is_scanned_from_anywhere(&env).await;
    pages_of_the_server_are_put_together(&env).await;
    the_audit_goes_on_from_anywhere(&env).await;
    groups_of_one_token_are_all_seen(&env).await;
    env.remove().await;
}

/// Bytes of any length up to 255, with many that are the beginning of others.
fn random_sort_key(dice: &mut SmallRng) -> Vec<u8> {
    let length = *[0, 1, 1, 2, 3, 254, 255].get(dice.random_range(0..7)).unwrap();
    let first = *[0_u8, 0x7f, 0x80, 0xff].get(dice.random_range(0..4)).unwrap();
    let mut sort_key = vec![first; length];
    if let Some(last) = sort_key.last_mut() {
        *last = dice.random();
    }
    sort_key
}

async fn a_group_is_scanned_from_anywhere(env: &ScyllaTestEnv) {
    let (store, table, seed) = (env.handle().await, view("scans"), 7);
    store.ensure_views(&[table]).await.unwrap();
    let scan = async {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut sort_keys: BTreeSet<_> = (0..120).map(|_| random_sort_key(&mut dice)).collect();
        sort_keys.extend([vec![], vec![0xff; 255], vec![0; 255]]);
        let mut live = BTreeMap::<Vec<u8>, Row>::new();
        let mut writes = Vec::new();
        for sort_key in &sort_keys {
            let body = dice.random_bool(0.6).then_some(&b"body"[..]);
            let row = write(table, &RowKey::new("group", sort_key.clone()), dice.random_range(1..1_000), body);
            live.extend(body.map(|_| (sort_key.clone(), row.row.clone())));
            writes.push(row);
        }
        store.write(&writes).await.unwrap();
        for _ in 0..40 {
            // From where a row is, and from where none is.
            let after = dice.random_bool(0.9).then(|| random_sort_key(&mut dice));
            let limit = *[0, 1, 2, 7, 50, 1_000].get(dice.random_range(0..6)).unwrap();
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

/// More rows than the server sends at a time, and more deleted ones in a row than that.
async fn pages_of_the_server_are_put_together(env: &ScyllaTestEnv) {
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
    assert!(store.read(table, &keys).await.unwrap() == expected, "one group, by key");
}

/// All rows, piece by piece.
async fn scan_table(store: &ScyllaViewStore, table: ViewId, limit: usize) -> Vec<RowKey> {
    let mut keys = Vec::<RowKey>::new();
    loop {
        let piece = store.scan_all(table, keys.last(), limit).await.unwrap();
        if piece.is_empty() {
            return keys;
        }
        assert!(piece.len() <= limit);
        keys.extend(piece.into_iter().map(|(key, _)| key));
    }
}

async fn the_audit_goes_on_from_anywhere(env: &ScyllaTestEnv) {
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
    // After rows that are gone: in a group that has more, at its end, and in groups that there never were.
    for gone in [RowKey::new("7", vec![21, 0]), RowKey::new("7", vec![0xff]), RowKey::single("x"), RowKey::single("yz")]
    {
        let rest: Vec<_> = store.scan_all(table, Some(&gone), 1_000).await.unwrap();
        let rest: Vec<_> = rest.into_iter().map(|(key, _)| key).collect();
        assert!(
            order.ends_with(&rest) && !rest.is_empty() && rest.len() < order.len(),
            "{} after {gone:?}",
            rest.len()
        );
        if gone.partition_key.as_ref() == "7" {
            assert_eq!(rest[0].partition_key.as_ref() == "7", gone.sort_key.len() == 2);
        }
    }
}

/// Groups may share a token, by chance or because somebody searched for such names. These were searched for.
async fn groups_of_one_token_are_all_seen(env: &ScyllaTestEnv) {
    const GROUPS: [&str; 3] = ["the same token 1", "gelteS}%MpY@/l; ", ": Y#P4FrQQ'r[erY"];
    let (store, table) = (env.handle().await, view("tokens"));
    store.ensure_views(&[table]).await.unwrap();
    let neighbours = ["one", "two", "three", "four"];
    let keys: BTreeSet<_> = GROUPS
        .iter()
        .chain(&neighbours)
        .flat_map(|group| (0..3_u8).map(|number| RowKey::new(group, vec![number])))
        .collect();
    let writes: Vec<_> = keys.iter().map(|key| write(table, key, 1, Some(b"body"))).collect();
    store.write(&writes).await.unwrap();
    let tokens: Vec<(i64,)> =
        Meddler::inside(&env.config).await.rows("SELECT DISTINCT token(partition_key) FROM tokens_g1").await;
    assert_eq!(tokens.into_iter().collect::<BTreeSet<_>>().len(), 1 + neighbours.len(), "they do not share a token");

    let order = scan_table(&store, table, 1_000).await;
    assert_eq!(order.len(), keys.len());
    for limit in [1, 2, 3, 4, 5] {
        let found = scan_table(&store, table, limit).await;
        assert_eq!(found, order, "with limit {limit}");
    }
}
