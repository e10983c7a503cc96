//! Progress, beyond its conformance suite.

use std::{collections::BTreeMap, time::Duration};

use diptych_kernel::{
    Partition, StreamId, Timestamp, Version,
    domain::ViewId,
    ports::{Offset, Parked, Progress, ProgressStore, ProgressUpdate},
    testing::{TestEnv, with_seed},
};
use diptych_scylla::ScyllaViewStore;
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::test_env::{RawSession, ScyllaTestEnv, at, view};

#[tokio::test]
async fn saves_of_progress() {
    let Some(env) = ScyllaTestEnv::new().await else { return };
    progress_never_goes_back_under_concurrent_saves(&env).await;
    a_list_saved_with_a_clock_that_is_ahead_is_replaced(&env).await;
    views_with_equal_progress_share_a_row(&env).await;
    a_row_without_progress_counts_as_absent(&env).await;
    the_progress_of_the_largest_installation_fits_into_one_call(&env).await;
    a_save_of_another_process_is_found_by_polling(&env).await;
    env.remove().await;
}

const CLOCK_SKEW_MICROS: i64 = 5 * 3_600 * 1_000_000;

fn parked(names: &[&str]) -> Vec<Parked> {
    let park = |name: &&str| Parked {
        stream_id: StreamId::new(name).unwrap(),
        version: Version::new(u32::MAX),
        reason: "größer".into(),
    };
    names.iter().map(park).collect()
}

fn update(view: ViewId, partition: u16, position: i64, as_of: i64, next_offset: u64) -> ProgressUpdate {
    let (position, as_of, next_offset) = (at(position), Timestamp::from_micros(as_of), Offset(next_offset));
    let progress = Progress { position, as_of, next_offset, parked: Vec::new() };
    ProgressUpdate { view, partition: Partition::new(partition), progress }
}

async fn load_one(store: &ScyllaViewStore, view: ViewId) -> Progress {
    let mut updates = store.load(&[view]).await.unwrap();
    assert_eq!(updates.len(), 1);
    updates.remove(0).progress
}

/// Concurrent saves, as of stale owners too: no reader sees a position go back, and everything that is read is the
/// result of one save.
async fn progress_never_goes_back_under_concurrent_saves(env: &ScyllaTestEnv) {
    let (handles, seed) = ([env.handle().await, env.handle().await, env.handle().await], 3);
    let tables = [view("busy"), view("busy_too")];
    let race = async {
        let mut rng = SmallRng::seed_from_u64(seed);
        let saves: Vec<Vec<_>> = (0..4)
            .map(|_| {
                let (mut position, mut as_of, mut next_offset) = (0, 0, 0);
                let mut next = || {
                    position += rng.random_range(0..5);
                    as_of += rng.random_range(0..5);
                    next_offset += rng.random_range(0..5);
                    // Sometimes in a row of its own, and sometimes in one row with the other view.
                    let tables = &tables[..rng.random_range(1..=tables.len())];
                    tables.iter().map(|table| update(*table, 0, position, as_of, next_offset)).collect::<Vec<_>>()
                };
                (0..40).map(|_| next()).collect()
            })
            .collect();
        let of_table = saves.iter().flatten().map(|updates| &updates[0].progress);
        let furthest = of_table.clone().map(|progress| progress.position).max().unwrap();
        let save = async |handle: &ScyllaViewStore, saves: &[Vec<ProgressUpdate>]| {
            for updates in saves {
                handle.save(updates).await.unwrap();
            }
        };
        let save_all = join_all(saves.iter().zip(handles.iter().cycle()).map(|(saves, handle)| save(handle, saves)));
        let read = async {
            let mut seen = Progress::default();
            while seen.position < furthest {
                let Some(update) = handles[2].load(&tables[..1]).await.unwrap().pop() else { continue };
                assert!(update.progress.position >= seen.position, "{:?} after {seen:?}", update.progress);
                assert!(
                    of_table.clone().any(|saved| *saved == update.progress),
                    "not the result of one save: {:?}",
                    update.progress
                );
                seen = update.progress;
            }
        };
        futures::join!(save_all, read);
        assert_eq!(load_one(&handles[0], tables[0]).await.position, furthest);
    };
    with_seed(seed, race).await;
}

/// Of two lists at one position the later save is kept, even if the clock of the earlier one is hours ahead.
async fn a_list_saved_with_a_clock_that_is_ahead_is_replaced(env: &ScyllaTestEnv) {
    let (store, table) = (env.handle().await, view("clocks"));
    let mut saved = update(table, 0, 9, 1, 1);
    saved.progress.parked = parked(&["A1"]);
    store.save(std::slice::from_ref(&saved)).await.unwrap();
    // As written by a process with such a clock.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    let ahead = i64::try_from(now).unwrap() + CLOCK_SKEW_MICROS;
    let timestamp = 9 - (1_i64 << 62);
    let update_row = format!(
        "UPDATE progress USING TIMESTAMP {timestamp} SET saved = ({ahead}, 9, 1, 1, [('Z9', 1, 'ahead')])
         WHERE bucket = 0 AND partition = 0 AND views = 'another_g1,clocks_g1'"
    );
    let session = RawSession::in_keyspace(&env.config).await;
    session.run(&update_row).await;
    assert_eq!(load_one(&store, table).await.parked[0].stream_id.as_str(), "Z9");

    for names in [&["A1", "B2"][..], &[], &["A1"]] {
        saved.progress.parked = parked(names);
        store.save(std::slice::from_ref(&saved)).await.unwrap();
        assert_eq!(load_one(&store, table).await.parked, saved.progress.parked);
    }
    // The next position is not affected.
    store.save(&[update(table, 0, 10, 1, 1)]).await.unwrap();
    assert_eq!(load_one(&store, table).await, update(table, 0, 10, 1, 1).progress);
}

/// One row for all views with equal progress, with the timestamp of their position. A view whose progress differs gets
/// another row.
async fn views_with_equal_progress_share_a_row(env: &ScyllaTestEnv) {
    let (store, one, other) = (env.handle().await, view("one"), view("other"));
    let both = |partition, position| [one, other].map(|view| update(view, partition, position, 2, 3));
    store.save(&[both(40, 5 << 20), both(41, 0)].concat()).await.unwrap();
    store.save(&[update(other, 41, 1, 2, 3)]).await.unwrap();

    let select = "SELECT partition, views, WRITETIME(saved) FROM progress WHERE bucket = 0 AND partition IN (40, 41)";
    let rows: Vec<(i16, String, i64)> = RawSession::in_keyspace(&env.config).await.rows(select).await;
    let at = |position: i64| position - (1 << 62);
    let expected = [(40, "one_g1,other_g1", at(5 << 20)), (41, "one_g1,other_g1", at(0)), (41, "other_g1", at(1))];
    assert_eq!(rows, expected.map(|(partition, views, timestamp)| (partition, views.to_owned(), timestamp)));
    let mut loaded = store.load(&[other]).await.unwrap();
    loaded.sort_unstable_by_key(|update| update.partition);
    assert_eq!(loaded, [update(other, 40, 5 << 20, 2, 3), update(other, 41, 1, 2, 3)]);
}

/// A row whose only cell is missing, as a server may return it.
async fn a_row_without_progress_counts_as_absent(env: &ScyllaTestEnv) {
    let (store, table) = (env.handle().await, view("empty"));
    let insert = "INSERT INTO progress (bucket, partition, views) VALUES (0, 0, 'empty_g1')";
    RawSession::in_keyspace(&env.config).await.run(insert).await;
    assert_eq!(store.load(&[table]).await.unwrap(), []);
    store.save(&[update(table, 0, 7, 3, 4)]).await.unwrap();
    assert_eq!(load_one(&store, table).await, update(table, 0, 7, 3, 4).progress);
}

/// The largest installation: many views in as many partitions as there can be.
async fn the_progress_of_the_largest_installation_fits_into_one_call(env: &ScyllaTestEnv) {
    let (store, other) = (env.handle().await, env.handle().await);
    let views: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().map(view).collect();
    let all = |add: i64| -> Vec<_> {
        let of_view = |view: &ViewId| {
            let view = *view;
            (0..256).map(move |partition| update(view, partition, add + i64::from(partition), add, 1))
        };
        views.iter().flat_map(of_view).collect()
    };
    for add in [5, 7] {
        store.save(&all(add)).await.unwrap();
        let by_key = |updates: Vec<ProgressUpdate>| -> BTreeMap<_, _> {
            updates.into_iter().map(|update| ((update.view, update.partition), update.progress)).collect()
        };
        assert_eq!(by_key(other.load(&views).await.unwrap()), by_key(all(add)));
    }
}

/// Saves of other processes are found by polling, at the poll interval.
async fn a_save_of_another_process_is_found_by_polling(env: &ScyllaTestEnv) {
    let (mine, other, table) = (env.handle().await, env.handle().await, view("polled"));
    let mut seen = 0;
    // Skips earlier saves of this handle.
    mine.wait_for_change(&mut seen, Duration::ZERO).await;
    let own = seen;
    other.save(&[update(table, 0, 1, 1, 1)]).await.unwrap();
    let poll = async {
        while mine.load(&[table]).await.unwrap().is_empty() {
            mine.wait_for_change(&mut seen, Duration::ZERO).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), poll).await.unwrap();
    assert_eq!(seen, own, "nothing was saved by this handle");
    let begin = tokio::time::Instant::now();
    mine.wait_for_change(&mut seen, Duration::ZERO).await;
    assert!(begin.elapsed() >= env.config.progress_poll_interval, "polls too often");
}
