//! Shelves of requests.

use std::time::Duration;

use diptych_kernel::{
    Timestamp,
    ports::{AppendOutcome, EventStore},
};
use diptych_postgres::{PostgresConfig, PostgresEventStore};
use futures::future::join;

use crate::support::{
    Database,
    batch::{find, store, store_in_vain, try_store, unit, versions},
    with_database,
};

const LIMIT: usize = 100;

/// A handle that begins a new shelf whenever it is asked to forget.
async fn open_with_short_shelves(database: &Database) -> PostgresEventStore {
    let config = PostgresConfig { request_shelf_age: Duration::ZERO, ..database.config() };
    PostgresEventStore::open(config).await.unwrap()
}

async fn shelves(database: &Database) -> Vec<i32> {
    let rows = database.client.query("SELECT shelf FROM request_shelves ORDER BY shelf", &[]).await.unwrap();
    let listed: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    let tables = "SELECT count(*)::integer FROM pg_inherits WHERE inhparent = 'requests'::regclass";
    let count: i32 = database.row(tables, &[]).await.get(0);
    assert_eq!(usize::try_from(count).unwrap(), listed.len(), "each has its table");
    listed
}

#[test]
fn a_request_on_an_older_shelf_is_found() {
    with_database(|database| async move {
        let handle = open_with_short_shelves(&database).await;
        let old = unit("old", 1);
        let receipt = store(&handle, &old).await;
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        assert_eq!(shelves(&database).await, [1, 2]);
        let young = unit("young", 1);
        store(&handle, &young).await;
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        assert_eq!(shelves(&database).await, [1, 2, 3]);

        assert_eq!(find(&handle, &old).await.unwrap().receipt, receipt);
        assert!(find(&handle, &young).await.is_some());
        // The same id under another version, which nothing else stands against.
        let mut again = unit("old", 2);
        again.request_id = old.request_id;
        let (conflicts, done) = store_in_vain(&handle, &again).await;
        assert!(conflicts.is_empty());
        assert_eq!(done[0].receipt, receipt);
    });
}

#[test]
fn an_older_shelf_is_forgotten_at_once_and_dropped_whole() {
    with_database(|database| async move {
        let handle = open_with_short_shelves(&database).await;
        let old: Vec<_> = (1..=5).map(|version| unit("old", version)).collect();
        for unit in &old {
            store(&handle, unit).await;
        }
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        database.advance(Duration::from_secs(60)).await;
        let kept = unit("old", 6);
        let cutoff = store(&handle, &kept).await.committed_at;

        // All of the shelf is older; more than the limit is never said to have gone.
        assert_eq!(handle.forget_requests(cutoff, 3).await.unwrap(), 3);
        for unit in &old {
            assert_eq!(find(&handle, unit).await, None);
        }
        assert!(find(&handle, &kept).await.is_some());
        assert_eq!(shelves(&database).await, [2, 3], "the first is gone, and another was begun");
        assert_eq!(handle.forget_requests(cutoff, LIMIT).await.unwrap(), 0, "nothing is left to go");
        assert_eq!(versions(&handle, "old").await, [1, 2, 3, 4, 5, 6], "events stay");

        // A forgotten id counts as new.
        let mut again = unit("old", 7);
        again.request_id = old[0].request_id;
        let receipt = store(&handle, &again).await;
        assert_eq!(find(&handle, &again).await.unwrap().receipt, receipt);
    });
}

/// Half of a shelf is older: those count as new, though their rows are still there.
#[test]
fn what_is_forgotten_on_a_shelf_that_stays_counts_as_new() {
    with_database(|database| async move {
        let handle = open_with_short_shelves(&database).await;
        let old = unit("half", 1);
        store(&handle, &old).await;
        database.advance(Duration::from_secs(60)).await;
        let young = unit("half", 2);
        let cutoff = store(&handle, &young).await.committed_at;
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);

        assert_eq!(handle.forget_requests(cutoff, LIMIT).await.unwrap(), 1);
        assert_eq!(database.row("SELECT count(*) FROM requests", &[]).await.get::<_, i64>(0), 2, "no row was deleted");
        assert_eq!(find(&handle, &old).await, None);
        assert!(find(&handle, &young).await.is_some());
        let mut again = unit("half", 3);
        again.request_id = old.request_id;
        store(&handle, &again).await;
        assert!(find(&handle, &again).await.is_some());
    });
}

/// The same id with another content, to another stream, from another handle, while the shelf changes between the two: stored once.
#[test]
fn an_id_is_stored_once_while_shelves_change() {
    with_database(|database| async move {
        let handles = [open_with_short_shelves(&database).await, database.open().await];
        for round in 0..20 {
            let one = unit(&format!("shelf-{round}-a"), 1);
            let mut other = unit(&format!("shelf-{round}-b"), 1);
            other.request_id = one.request_id;
            let begin = handles[0].forget_requests(Timestamp::from_micros(0), LIMIT);
            let attempts = join(try_store(&handles[0], &one), try_store(&handles[1], &other));
            let (attempts, begun) = join(attempts, begin).await;
            begun.unwrap();
            let outcomes = [attempts.0.unwrap(), attempts.1.unwrap()];
            let stored = outcomes.iter().filter(|outcome| matches!(outcome, AppendOutcome::Committed(_))).count();
            assert_eq!(stored, 1, "{outcomes:?}");
        }
        let twice = "SELECT count(*) FROM (SELECT FROM requests GROUP BY request_id HAVING count(*) > 1) AS twice";
        assert_eq!(database.row(twice, &[]).await.get::<_, i64>(0), 0);
        assert!(shelves(&database).await.len() > 2, "shelves did change");
    });
}

/// An append that does not end must not stop the others behind a lock.
#[test]
fn a_shelf_waits_for_nobody_for_long() {
    with_database(|database| async move {
        let handle = open_with_short_shelves(&database).await;
        let holder = database.connect().await;
        let lock = "BEGIN; LOCK TABLE requests IN ROW EXCLUSIVE MODE";
        holder.batch_execute(lock).await.unwrap();
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0, "no failure");
        assert_eq!(shelves(&database).await, [1], "put off");
        store(&handle, &unit("goes-on", 1)).await;
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(handle.forget_requests(Timestamp::from_micros(0), LIMIT).await.unwrap(), 0);
        assert_eq!(shelves(&database).await, [1, 2]);
    });
}
