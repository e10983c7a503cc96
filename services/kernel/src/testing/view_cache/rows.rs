//! What is cached.

use super::{row, view};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, ViewCache},
    testing::{TestEnv, support::Trial},
};

pub(super) async fn what_is_put_is_read_by_everybody<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let (mine, other, table) = (trial.env.handle().await, trial.env.handle().await, view("put"));
    let (filled, refreshed, absent) = (RowKey::single("filled"), RowKey::single("refreshed"), RowKey::single("absent"));
    if let Some(lease) = trial.lease(&mine, table, &filled).await
        && let Some(taken) = trial.fill(&mine, table, &filled, lease, &row(&filled, 1, 3)).await
    {
        assert!(taken || !trial.env.retains_entries(), "the lease was good");
    }
    trial.refresh(&mine, table, &refreshed, &row(&refreshed, 2, 3)).await;
    // That there is no row is worth knowing too.
    trial.refresh(&mine, table, &absent, &row(&absent, 5, 6)).await;
    for cache in [&mine, &other, &trial.env.handle().await] {
        trial.expect(cache, table, &filled, &row(&filled, 1, 3), "filled").await;
        trial.expect(cache, table, &absent, &row(&absent, 5, 6), "absent").await;
        // Whether what was not cached before is put is the cache's own choice.
        if let Some(found) = trial.cached(cache, table, &refreshed).await {
            assert_eq!(found, row(&refreshed, 2, 3));
        }
    }
}

pub(super) async fn the_larger_position_and_time_win<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let (mine, other, table) = (trial.env.handle().await, trial.env.handle().await, view("wins"));
    // Each step: what is put, and what is there afterwards, as position and as_of.
    let steps = [
        ((2, 10), (2, 10)),
        ((1, 20), (2, 10)),
        ((2, 9), (2, 10)),
        ((2, 12), (2, 12)),
        ((2, 12), (2, 12)),
        ((4, 4), (4, 4)),
        ((2, 99), (4, 4)),
        ((5, 7), (5, 7)),
        ((4, 8), (5, 7)),
        ((6, 6), (6, 6)),
    ];
    let key = RowKey::new("wins", &b"sorted"[..]);
    for (number, (put, expected)) in steps.into_iter().enumerate() {
        let cache = if number % 2 == 0 { &mine } else { &other };
        // What was forgotten has nothing to stand against an older row.
        if trial.env.retains_entries() || put == expected {
            trial.refresh(cache, table, &key, &row(&key, put.0, put.1)).await;
        }
        trial.expect(&mine, table, &key, &row(&key, expected.0, expected.1), &format!("step {number}")).await;
    }

    // In one call too.
    let key = RowKey::single("at once");
    if trial.env.retains_entries() {
        let rows = [3, 4, 2].map(|position| (key.clone(), row(&key, position, position)));
        trial.ask("refresh", async || mine.refresh(table, &rows).await).await;
        trial.expect(&other, table, &key, &row(&key, 4, 4), "several of one key").await;
    }
}

pub(super) async fn answers_come_in_the_order_of_keys<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let (cache, table) = (trial.env.handle().await, view("order"));
    let keys: Vec<_> = ["a", "b", "c", "d"].map(RowKey::single).into();
    for (key, position) in keys.iter().zip(1..) {
        if position % 2 == 0 {
            trial.refresh(&cache, table, key, &row(key, position, 9)).await;
        }
    }
    let asked: Vec<_> = [3, 0, 1, 3].map(|index: usize| keys[index].clone()).into();
    let answers = trial.look_up_all(&cache, table, &asked).await;
    let is_hit_of = |answer: &CacheRead, index: usize, position: i64| match answer {
        CacheRead::Hit(found) => assert_eq!(*found, row(&keys[index], position, 9)),
        _ => assert!(!trial.env.retains_entries()),
    };
    is_hit_of(&answers[0], 3, 4);
    assert!(!matches!(answers[1], CacheRead::Hit(_)), "a row out of nowhere: {:?}", answers[1]);
    is_hit_of(&answers[2], 1, 2);
    is_hit_of(&answers[3], 3, 4);
    assert_eq!(trial.look_up_all(&cache, table, &[]).await, []);
    trial.ask("refresh", async || cache.refresh(table, &[]).await).await;
    trial.ask("invalidate", async || cache.invalidate(table, &[]).await).await;
}

pub(super) async fn views_and_groups_are_apart<P: TestEnv<Handle: ViewCache>>(trial: &Trial<'_, P>) {
    let cache = trial.env.handle().await;
    let tables = [view("apart"), ViewId { name: "apart", generation: 2 }, view("apart_too")];
    // The same bytes, cut elsewhere.
    let keys = [RowKey::new("a", &b"bc"[..]), RowKey::new("ab", &b"c"[..]), RowKey::single("abc")];
    let all: Vec<_> = tables.iter().flat_map(|table| keys.iter().map(|key| (*table, key))).collect();
    for ((table, key), position) in all.iter().zip(1..) {
        trial.refresh(&cache, *table, key, &row(key, position, 99)).await;
    }
    for ((table, key), position) in all.iter().zip(1..) {
        trial.expect(&cache, *table, key, &row(key, position, 99), "apart").await;
    }
    trial.invalidate(&cache, tables[0], &keys[0]).await;
    assert_eq!(trial.cached(&cache, tables[0], &keys[0]).await, None);
    for ((table, key), position) in all.iter().zip(1..).skip(1) {
        trial.expect(&cache, *table, key, &row(key, position, 99), "what was not invalidated").await;
    }
}
