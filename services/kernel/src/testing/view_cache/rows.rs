//! Cached rows.

use super::{row, view};
use crate::{
    domain::{RowKey, ViewId},
    ports::{CacheRead, ViewCache},
    testing::{TestEnv, support::SuiteRun},
};

pub(super) async fn cached_rows_are_read_through_every_handle<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let (mine, other, table) = (run.env.handle().await, run.env.handle().await, view("put"));
    let (filled, refreshed, absent) = (RowKey::single("filled"), RowKey::single("refreshed"), RowKey::single("absent"));
    if let Some(lease) = run.lease(&mine, table, &filled).await
        && let Some(taken) = run.fill(&mine, table, &filled, lease, &row(&filled, 1, 3)).await
    {
        assert!(taken || !run.env.retains_entries(), "a valid lease was rejected");
    }
    run.refresh(&mine, table, &refreshed, &row(&refreshed, 2, 3)).await;
    // The absence of a row is cached too.
    run.refresh(&mine, table, &absent, &row(&absent, 5, 6)).await;
    for cache in [&mine, &other, &run.env.handle().await] {
        run.expect(cache, table, &filled, &row(&filled, 1, 3), "filled").await;
        run.expect(cache, table, &absent, &row(&absent, 5, 6), "absent").await;
        // A refresh may or may not cache a row that was not cached before.
        if let Some(found) = run.cached(cache, table, &refreshed).await {
            assert_eq!(found, row(&refreshed, 2, 3));
        }
    }
}

pub(super) async fn the_larger_position_and_as_of_win<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let (mine, other, table) = (run.env.handle().await, run.env.handle().await, view("wins"));
    // Each step: the refresh and the expected result, both as position and current_up_to.
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
        // If the row was evicted, there is nothing to reject an older one.
        if run.env.retains_entries() || put == expected {
            run.refresh(cache, table, &key, &row(&key, put.0, put.1)).await;
        }
        run.expect(&mine, table, &key, &row(&key, expected.0, expected.1), &format!("step {number}")).await;
    }

    // Also within one call.
    let key = RowKey::single("at once");
    if run.env.retains_entries() {
        let rows = [3, 4, 2].map(|position| (key.clone(), row(&key, position, position)));
        run.retry("refresh", async || mine.refresh(table, &rows).await).await;
        run.expect(&other, table, &key, &row(&key, 4, 4), "several rows of one key in one call").await;
    }
}

pub(super) async fn answers_come_in_the_order_of_keys<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let (cache, table) = (run.env.handle().await, view("order"));
    let keys: Vec<_> = ["a", "b", "c", "d"].map(RowKey::single).into();
    for (key, position) in keys.iter().zip(1..) {
        if position % 2 == 0 {
            run.refresh(&cache, table, key, &row(key, position, 9)).await;
        }
    }
    let requested: Vec<_> = [3, 0, 1, 3].map(|index: usize| keys[index].clone()).into();
    let answers = run.read_keys(&cache, table, &requested).await;
    let is_hit_of = |answer: &CacheRead, index: usize, position: i64| match answer {
        CacheRead::Hit(found) => assert_eq!(*found, row(&keys[index], position, 9)),
        _ => assert!(!run.env.retains_entries()),
    };
    is_hit_of(&answers[0], 3, 4);
    assert!(!matches!(answers[1], CacheRead::Hit(_)), "unexpected row: {:?}", answers[1]);
    is_hit_of(&answers[2], 1, 2);
    is_hit_of(&answers[3], 3, 4);
    assert_eq!(run.read_keys(&cache, table, &[]).await, []);
    run.retry("refresh", async || cache.refresh(table, &[]).await).await;
    run.retry("invalidate", async || cache.invalidate(table, &[]).await).await;
}

pub(super) async fn views_and_groups_are_separate<P: TestEnv<Handle: ViewCache>>(run: &SuiteRun<'_, P>) {
    let cache = run.env.handle().await;
    let tables = [view("apart"), ViewId { name: "apart", generation: 2 }, view("apart_too")];
    // The same bytes, divided differently between partition key and sort key.
    let keys = [RowKey::new("a", &b"bc"[..]), RowKey::new("ab", &b"c"[..]), RowKey::single("abc")];
    let all: Vec<_> = tables.iter().flat_map(|table| keys.iter().map(|key| (*table, key))).collect();
    for ((table, key), position) in all.iter().zip(1..) {
        run.refresh(&cache, *table, key, &row(key, position, 99)).await;
    }
    for ((table, key), position) in all.iter().zip(1..) {
        run.expect(&cache, *table, key, &row(key, position, 99), "separate keys").await;
    }
    run.invalidate(&cache, tables[0], &keys[0]).await;
    assert_eq!(run.cached(&cache, tables[0], &keys[0]).await, None);
    for ((table, key), position) in all.iter().zip(1..).skip(1) {
        run.expect(&cache, *table, key, &row(key, position, 99), "a row that was not invalidated").await;
    }
}
